import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router.artifact import Artifact
from router.features import BUCKETS, STRUCTURE_NAMES, RouteQuery, Turn, query_from_openai
from router.gate import TOOL_CALLER, Gate
from router.train import Trained


def loud_gate() -> Gate:
    """A gate whose every word shouts for every head: the hardest case for the structure rule."""
    ones = np.ones(2, dtype=np.float32)
    hashed = np.full((BUCKETS, 2), 50.0, dtype=np.float32)
    dense = np.zeros((len(STRUCTURE_NAMES), 2), dtype=np.float32)
    return Gate(Artifact(("coder", "generalist"), hashed, dense, ones, ones, ones, 0.9, "generalist", 0.3))


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
