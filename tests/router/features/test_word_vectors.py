import numpy as np

from router.features.word_vectors import PARTS, SCALE, SIZE, shipped_vectors


def alike(left: str, right: str, part: int) -> float:
    start = sum(PARTS[:part])
    pooled = [shipped_vectors().pool([word])[start : start + PARTS[part]] for word in (left, right)]
    return float(pooled[0] @ pooled[1]) / SCALE**2


def test_words_of_a_kind_are_nearer_than_others() -> None:
    assert alike("physics", "chemistry", 1) > alike("physics", "wedding", 1)
    assert alike("historia", "geschichte", 0) > alike("historia", "prozent", 0)


def test_nothing_known_is_nothing_said() -> None:
    assert not shipped_vectors().pool([]).any() and not shipped_vectors().pool(["\0", "zzqxzzqx"]).any()


def test_parts_have_one_length_and_endings_are_cut() -> None:
    pooled = shipped_vectors().pool(["garden", "music"])
    assert pooled.shape == (SIZE,)
    assert np.isclose(np.linalg.norm(pooled[PARTS[0] :]), SCALE, atol=1e-4)
    assert shipped_vectors().pool(["zebrafinchxx", "gardensss"]).any()


def test_scripts_without_spaces_are_searched_inside() -> None:
    assert shipped_vectors().pool(["我想学习历史"]).any()
