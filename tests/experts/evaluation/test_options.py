"""Options: read from results, compared, and what they add to their base."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experts.evaluation.options import HEADLINE, Option, ResultError, lift, pareto, read_option
from tests.experts.evaluation.results import BASE, RESULT, SPEC


def test_a_result_becomes_an_option() -> None:
    assert (BASE.quality, BASE.low, BASE.high, BASE.score) == (0.3, 0.2, 0.4, "pass@1")
    assert BASE.usd_per_1000 == pytest.approx(0.4)  # 1000 * (200 * 1e-6 + 100 * 2e-6)
    assert (BASE.ttft_ms, BASE.size_mb, BASE.licence) == (20.0, 145.0, "MIT")


@pytest.mark.parametrize("lacking", ["scores", "measured", "data", "artifact", "suite", "variant"])
def test_a_result_that_lacks_something_is_named(lacking: str) -> None:
    broken = {key: value for key, value in RESULT.items() if key != lacking}
    with pytest.raises(ResultError, match="here"):
        read_option(broken, SPEC, "here")


def test_the_pareto_set_is_what_nothing_beats() -> None:
    better = replace(BASE, variant="adapter", quality=0.5)
    cheaper = replace(BASE, variant="q4", quality=0.2, usd_per_1000=0.1)
    worse = replace(BASE, variant="q2", quality=0.1, usd_per_1000=0.2)
    assert pareto([BASE, better, cheaper, worse]) == [better, cheaper]
    assert pareto([BASE, replace(BASE, variant="twin")]) == [BASE, replace(BASE, variant="twin")]


def test_speed_counts_where_all_have_it_and_other_tasks_never_do() -> None:
    fast = replace(BASE, variant="fast", quality=0.2, ttft_ms=5.0)
    assert pareto([BASE, fast]) == [BASE, fast]
    unknown = replace(fast, ttft_ms=None)
    assert pareto([BASE, unknown]) == [BASE]
    elsewhere = replace(BASE, data="other rows", quality=0.9)
    assert pareto([BASE, elsewhere]) == [BASE, elsewhere]


def test_lift_is_over_the_base_of_the_same_rows() -> None:
    apart = replace(BASE, variant="adapter", quality=0.6, low=0.5, high=0.7)
    near = replace(BASE, variant="q4", quality=0.4, low=0.3, high=0.5)
    options: list[Option] = [BASE, apart, near]
    assert lift(apart, options) == (pytest.approx(0.3), True)
    assert lift(near, options) == (pytest.approx(0.1), False)
    assert lift(BASE, options) is None
    assert lift(replace(apart, data="other rows"), options) is None


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("suite", "poetry"),
        ("scores", {"pass@1": {"value": "much", "ci95": [0, 1], "n": 1}}),
        ("scores", {"pass@1": {"value": 1, "ci95": [0], "n": 1}}),
        ("measured", None),
        ("data", []),
        ("artifact", {"sha256": "0"}),
    ],
)
def test_a_result_with_a_part_of_another_shape_is_named(part: str, value: object) -> None:
    with pytest.raises(ResultError, match=r"^here: not a result of experts\.evaluate: "):
        read_option({**RESULT, part: value}, SPEC, "here")


def test_what_was_not_measured_stays_unknown() -> None:
    alone = {"ttft_ms": None, "tokens_per_s": None}
    option = read_option({**RESULT, "artifact": None, "measured": {**RESULT["measured"], "alone": alone}}, SPEC, "here")
    assert (option.ttft_ms, option.tokens_per_s, option.size_mb) == (None, None, None)


def test_options_of_other_rows_are_another_group() -> None:
    sampled = read_option({**RESULT, "n": 50}, SPEC, "here")
    reseeded = read_option({**RESULT, "data": {**RESULT["data"], "seed": 1}}, SPEC, "here")
    assert len({BASE.group, sampled.group, reseeded.group}) == 3


@pytest.mark.parametrize(("suite", "score"), HEADLINE.items())
def test_each_suite_has_its_headline(suite: str, score: str) -> None:
    scores = {score: {"value": 0.7, "ci95": [0.6, 0.8], "n": 9}, "other": {"value": 0.1, "ci95": [0, 1], "n": 9}}
    assert read_option({**RESULT, "suite": suite, "scores": scores}, SPEC, "here").quality == 0.7


FEW = st.sampled_from([0.1, 0.2, 0.3])
OPTIONS = st.lists(
    st.builds(
        lambda quality, usd, ttft, data: replace(BASE, quality=quality, usd_per_1000=usd, ttft_ms=ttft, data=data),
        FEW,
        FEW,
        FEW,
        st.sampled_from(["one", "other"]),
    ),
    max_size=7,
)


def is_worse(one: Option, other: Option) -> bool:
    gains = (
        other.quality - one.quality,
        one.usd_per_1000 - other.usd_per_1000,
        (one.ttft_ms or 0) - (other.ttft_ms or 0),
    )
    return one.group == other.group and min(gains) >= 0 and max(gains) > 0


@given(OPTIONS)
def test_what_is_left_out_is_beaten_by_what_is_kept(options: list[Option]) -> None:
    kept = pareto(options)
    assert not any(is_worse(one, other) for one in kept for other in options)
    assert all(any(is_worse(one, other) for other in kept) for one in options if one not in kept)
    assert [one for one in options if one in kept] == kept
