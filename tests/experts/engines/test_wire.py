"""Messages between replica and engine process survive any cut of the byte stream."""

from hypothesis import given
from hypothesis import strategies as st

from experts.engine import Completion, FinishReason, GenerationInput, QueueFull, Sampling, TokenDelta, Turn
from experts.engines.wire import Abort, Released, Started, Submit, Unpacker, pack

MESSAGES = [
    Submit(1, GenerationInput((Turn("user", "hé"),), Sampling(5, seed=2**63), 1.5), 0.5),
    Abort(1),
    [
        (1, Started(5)),
        (1, TokenDelta("é", 1)),
        (2, Completion(FinishReason.STOP, 1, 2, 0.1, 0.2, 0.3)),
        (3, Released()),
    ],
]


@given(st.lists(st.integers(1, 40), min_size=1))
def test_messages_come_out_as_they_went_in(sizes: list[int]) -> None:
    data = b"".join(pack(message) for message in MESSAGES)
    unpacker, seen, start = Unpacker(), [], 0
    while start < len(data):
        size = sizes[start % len(sizes)]
        seen += unpacker.feed(data[start : start + size])
        start += size
    assert seen == MESSAGES


def test_errors_keep_their_class_and_words() -> None:
    [[(number, error)]] = Unpacker().feed(pack([(4, QueueFull("full"))]))  # type: ignore[misc]
    assert (number, type(error), str(error)) == (4, QueueFull, "full")
