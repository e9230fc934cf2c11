from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router.features.featurize import BUCKETS, DENSE_NAMES, RouteQuery, Turn, query_from_openai
from router.features.tool_fit import FIT_NAMES
from router.model.artifact import Artifact, Side, load
from router.model.gate import QUIETEST, TOOL_CALLER, Gate, rivals
from router.model.network import Network
from router.train import Trained


def loud_gate() -> Gate:
    """A gate whose every word shouts for every class: the hardest case for the structure rule."""
    ones = np.ones(2, dtype=np.float32)
    network = Network.of(
        known=np.arange(BUCKETS, dtype=np.int32),
        hashed=np.full((BUCKETS + 1, 2), 7, dtype=np.int8),
        scale=8 * ones,
        dense=np.zeros((len(DENSE_NAMES), 2), dtype=np.float32),
        bias=ones,
        out=np.eye(2, dtype=np.float32),
        out_bias=ones,
    )
    return Gate(Artifact(("coder", "generalist"), network, ones, ones, 0.9, "generalist", 0.3))


@settings(max_examples=50)
@given(st.text(max_size=200))
def test_tools_are_never_lost_to_wording(text: str) -> None:
    gate = loud_gate()
    offered = gate.probabilities(RouteQuery((Turn("user", text),), ("f",), "f: x", has_tools=True))
    assert gate.experts[int(np.argmax(offered))] == TOOL_CALLER
    without = gate.probabilities(RouteQuery((Turn("user", text),)))
    assert without[gate.experts.index(TOOL_CALLER)] == 0.0
    assert ((offered >= 0) & (offered <= 1) & (without >= 0) & (without <= 1)).all()


@pytest.mark.parametrize(
    ("text", "expert"),
    [
        ("what is known about the history of cheese?", "researcher"),
        ("write a python function that parses dates", "coder"),
        ("plan a weekend around wine for two friends", "advisor"),
        ("Ann has 30 marbles and gives 4 away, how many are left?", "generalist"),
    ],
)
def test_a_trained_gate_reads_words_it_has_not_seen_together(trained: Trained, text: str, expert: str) -> None:
    gate = Gate(trained.artifact)
    found = gate.probabilities(query_from_openai([{"role": "user", "content": text}]))
    assert gate.experts[int(np.argmax(found))] == expert


def test_tools_that_do_not_fit_leave_the_words_as_they_are() -> None:
    gate = loud_gate()
    hashed, dense = np.zeros(BUCKETS, dtype=np.float32), np.zeros(len(DENSE_NAMES) + len(FIT_NAMES) + 2, np.float32)
    unfit = Gate(replace(gate.artifact, fits=Side(hashed, dense, -5.0)))
    query = RouteQuery((Turn("user", "paint"),), ("f",), "f: x", has_tools=True)
    offered, without = unfit.probabilities(query), unfit.probabilities(RouteQuery((Turn("user", "paint"),)))
    assert np.array_equal(offered[:2], without[:2]) and 0 < offered[2] < offered[:2].max()


def test_a_follow_up_is_read_with_the_turn_it_leans_on(trained: Trained) -> None:
    sure = Side(np.zeros(BUCKETS, dtype=np.float32), np.zeros(len(DENSE_NAMES), dtype=np.float32), 8.0)
    gate = Gate(replace(trained.artifact, leans=sure))
    first = {"role": "user", "content": "write a python function that parses dates"}
    follow = [first, {"role": "assistant", "content": "```python\n```"}, {"role": "user", "content": "shorter"}]
    found = gate.probabilities(query_from_openai(follow))
    assert gate.experts[int(np.argmax(found))] == "coder"


@pytest.mark.parametrize("served", [["coder"], ["coder", "generalist"], ["advisor", "researcher"]])
@pytest.mark.parametrize("text", ["write a python function that sorts a list", "fix this SQL query: SELEC 1"])
def test_without_a_tool_caller_tools_take_nothing_from_the_others(served: list[str], text: str) -> None:
    gate = Gate(load())
    words = RouteQuery((Turn("user", text),))
    tools = replace(words, tool_names=("sort_list",), tool_text="sort_list: sorts", has_tools=True, must_call=True)
    assert gate.by_expert(tools, [*served, "tool-caller"])["coder"] < 0.5
    among = gate.by_expert(tools, served)
    assert among["coder"] > 0.5 and among["tool-caller"] == 0.0


def test_each_class_has_the_strongest_other_as_its_rival() -> None:
    found = rivals(np.array([[3.0, -1.0, 2.0], [0.5, 0.5, -40.0]]))
    assert found.tolist() == [[2.0, 3.0, 3.0], [0.5, 0.5, 0.5]]
    assert rivals(np.array([4.0, -90.0])).tolist() == [QUIETEST, 4.0]
    assert rivals(np.array([4.0])).tolist() == [0.0]


def test_a_near_rival_lowers_the_probability_and_leaves_the_order(trained: Trained) -> None:
    query = query_from_openai([{"role": "user", "content": "plan a weekend around wine for two friends"}])
    plain, wary = (Gate(replace(trained.artifact, rival=rival)) for rival in (0.0, -0.5))
    before, after = (gate.logits(gate.features(query)) for gate in (plain, wary))
    assert np.array_equal(np.argsort(before), np.argsort(after))
    assert not np.allclose(before, after)


def test_how_a_long_turn_begins_counts_a_third(trained: Trained) -> None:
    gate = Gate(trained.artifact)
    asked = "write a warm letter about bread to my dear aunt"
    notes = " fix this sql query over tides and parse the steel maps" * 4
    whole = gate.features(query_from_openai([{"role": "user", "content": f"{asked} now:{notes}"}]))
    alone = gate.raw(gate.features(query_from_openai([{"role": "user", "content": asked}])))
    assert whole.opening is not None
    expected = 2 / 3 * gate.raw(replace(whole, opening=None)) + 1 / 3 * alone
    assert np.allclose(gate.raw(whole), expected, atol=1e-4)
