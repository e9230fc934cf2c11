import numpy as np
import pytest

from router.evaluation.tiers import SHRINK, Prompts, TierPredictor

SUBJECTS = ("tides", "bread", "chess", "taxes", "opera", "bees", "maps")


def prompts(count: int, *, is_named: bool = False) -> Prompts:
    """Every other one is to be proved; the category says nothing of it."""
    texts = tuple(
        f"{'prove' if at % 2 else 'name'} something of {SUBJECTS[at % 7]} and {at % 5}" for at in range(count)
    )
    return Prompts(texts, tuple("ab"[at // 2 % 2] for at in range(count)) if is_named else None)


@pytest.fixture(scope="module")
def gain() -> np.ndarray:
    return np.array([float(at % 2) for at in range(140)])


def test_a_word_that_tells_the_gain_is_found_by_every_member_that_reads_words(gain: np.ndarray) -> None:
    members = TierPredictor.fit(prompts(140), gain, seed=0).members(prompts(40))
    assert members.keys() == {"words, category, shape", "shape", "nearest prompts"}
    for name in ("words, category, shape", "nearest prompts"):
        assert members[name][1::2].min() > members[name][::2].max(), name


def test_members_are_added(gain: np.ndarray) -> None:
    fitted = TierPredictor.fit(prompts(140, is_named=True), gain, seed=0)
    asked = prompts(30, is_named=True)
    assert fitted.predict(asked) == pytest.approx(sum(fitted.members(asked).values()))


def test_the_same_seed_gives_the_same_predictor(gain: np.ndarray) -> None:
    asked = prompts(30)
    first, second = (TierPredictor.fit(prompts(140), gain, seed=4).predict(asked) for _ in range(2))
    assert np.array_equal(first, second)


def test_a_categorys_mean_is_pulled_to_the_overall_mean_by_its_few_rows() -> None:
    """Category a gains always, b never: 20 rows of a beside 60 of b."""
    asked = Prompts(tuple(f"name the thing {at % 9}" for at in range(80)), ("a",) * 20 + ("b",) * 60)
    fitted = TierPredictor.fit(asked, np.repeat([1.0, 0.0], [20, 60]), seed=0)
    expected = {"a": (20 + SHRINK * 0.25) / (20 + SHRINK), "b": SHRINK * 0.25 / (60 + SHRINK)}
    assert fitted.category_gain == pytest.approx(expected)
    found = fitted.members(Prompts(("name the thing 1",) * 3, ("a", "b", "never seen")))["category mean"]
    assert found.tolist() == pytest.approx([*expected.values(), 0.25])


def test_without_categories_there_is_no_mean_of_them(gain: np.ndarray) -> None:
    fitted = TierPredictor.fit(prompts(140, is_named=True), gain, seed=0)
    assert "category mean" in fitted.members(prompts(6, is_named=True))
    assert "category mean" not in fitted.members(prompts(6))


def test_the_nearest_prompts_are_asked_in_pieces_without_a_seam(
    gain: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    fitted, asked = TierPredictor.fit(prompts(140), gain, seed=0), prompts(25)
    whole = fitted.members(asked)["nearest prompts"]
    monkeypatch.setattr("router.evaluation.tiers.SCORED_AT_ONCE", 7)
    assert fitted.members(asked)["nearest prompts"] == pytest.approx(whole)


def test_a_prompt_of_unknown_words_or_of_none_is_scored_all_the_same(gain: np.ndarray) -> None:
    found = TierPredictor.fit(prompts(140), gain, seed=0).predict(Prompts(("", "zyzzyva", "  ", "?" * 500)))
    assert np.isfinite(found).all()
