"""Core lists: what Ray writes becomes what optimum-neuron reads."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experts.neuron.cores import VISIBLE_CORES, Cores, CoresUnusable, claim_cores, parse_cores


@pytest.mark.parametrize(
    ("text", "cores", "written"),
    [
        ("4", Cores(4, 1), "4"),
        ("7-15", Cores(7, 9), "7-15"),
        ("0,1", Cores(0, 2), "0-1"),
        ("2, 3", Cores(2, 2), "2-3"),
        ("3,2", Cores(2, 2), "2-3"),
        ("0-1,2,3-5", Cores(0, 6), "0-5"),
        ("8-8", Cores(8, 1), "8"),
    ],
)
def test_reads_every_way_of_writing_a_run(text: str, cores: Cores, written: str) -> None:
    assert parse_cores(text) == cores
    assert str(cores) == written
    assert parse_cores(written) == cores


@pytest.mark.parametrize("text", ["0,2", "0-1,4-5", "9,11,10,13"])
def test_gaps_are_refused_with_what_helps(text: str) -> None:
    with pytest.raises(CoresUnusable, match="neighbouring cores"):
        parse_cores(text)


@pytest.mark.parametrize("text", ["", "a", "0,", "1-", "-1", "1-2-3", "0 1", "²", "3-1", "0,0", "0-2,1"])
def test_what_is_no_list_of_cores_is_refused(text: str) -> None:
    with pytest.raises(CoresUnusable, match=VISIBLE_CORES):
        parse_cores(text)


@given(st.integers(0, 200), st.integers(1, 32), st.randoms())
def test_any_order_of_a_run_is_the_run(first: int, count: int, chance: object) -> None:
    numbers = list(range(first, first + count))
    chance.shuffle(numbers)  # type: ignore[attr-defined]
    assert parse_cores(",".join(map(str, numbers))) == Cores(first, count)


def test_claiming_rewrites_the_variable() -> None:
    environment = {VISIBLE_CORES: "2,3"}
    assert claim_cores(environment, 2) == Cores(2, 2)
    assert environment == {VISIBLE_CORES: "2-3"}


def test_a_count_that_is_not_the_model_s_is_refused_with_both_numbers() -> None:
    environment = {VISIBLE_CORES: "0,1,2,3"}
    with pytest.raises(CoresUnusable, match=r"compiled for 2 NeuronCores and this replica has 4 .*neuron_cores to 2"):
        claim_cores(environment, 2)
    assert environment == {VISIBLE_CORES: "0,1,2,3"}


def test_outside_ray_the_runtime_chooses() -> None:
    environment: dict[str, str] = {}
    assert claim_cores(environment, 2) is None
    assert environment == {}
