"""Who comes in next."""

import pytest

from serve.admission.fair_queue import FairQueue
from serve.request import Priority

NOW, LATER = Priority.INTERACTIVE, Priority.BATCH


def drained(queue: FairQueue[str]) -> list[str]:
    return [queue.pop() for _ in range(len(queue))]


def test_tenants_take_turns_however_much_one_sends() -> None:
    queue = FairQueue[str]()
    for i in range(4):
        queue.push(f"a{i}", NOW, "a")
    queue.push("b0", NOW, "b")
    queue.push("c0", NOW, "c")
    queue.push("b1", NOW, "b")
    assert drained(queue) == ["a0", "b0", "c0", "a1", "b1", "a2", "a3"]


def test_interactive_goes_first_and_batch_does_not_starve() -> None:
    queue = FairQueue[str]()
    for i in range(20):
        queue.push(f"now{i}", NOW, "")
        queue.push(f"later{i}", LATER, "")
    first = [queue.pop() for _ in range(16)]
    assert [item for item in first if item.startswith("later")] == ["later0", "later1"]
    assert drained(queue)[-1] == "later19"


def test_who_gives_up_is_gone() -> None:
    queue = FairQueue[str]()
    queue.push("a", NOW, "x")
    queue.push("b", NOW, "x")
    assert queue.remove("a", NOW, "x")
    assert not queue.remove("a", NOW, "x")
    assert not queue.remove("b", LATER, "x")
    assert drained(queue) == ["b"]
    with pytest.raises(IndexError):
        queue.pop()


def test_the_newest_of_the_greediest() -> None:
    queue = FairQueue[str]()
    assert queue.newest(LATER) is None
    for item, tenant in (("a0", "a"), ("b0", "b"), ("b1", "b"), ("a1", "a"), ("b2", "b"), ("c0", "c")):
        queue.push(item, LATER, tenant)
    assert queue.newest(LATER) == "b2"
