"""A stream put together again: texts in order, calls by their place, citations where there was something to cite."""

import pytest

from protos import chat_pb2 as chat
from protos import expert_pb2 as pb
from serve.doors.collect import collect
from serve.errors import ExpertFailed
from tests.fakes.core import played_answer
from tests.helpers import chunk, last_chunk, route_decision

CODER = route_decision("coder")
DOCUMENTS = [chat.Document(title="a", text="words", url="https://a.example")]


def calling(*deltas: chat.ToolCallDelta, text: str = "") -> pb.GenerateChunk:
    return pb.GenerateChunk(text=text, token_count=1, tool_calls=deltas)


def begin(index: int, name: str, arguments: str = "") -> chat.ToolCallDelta:
    return chat.ToolCallDelta(index=index, id=f"call_{index}", name=name, arguments=arguments)


def more(index: int, arguments: str) -> chat.ToolCallDelta:
    return chat.ToolCallDelta(index=index, arguments=arguments)


async def test_texts_are_joined_in_order_with_the_last_messages_own() -> None:
    last = last_chunk(3)
    last.text = "!"
    answer = played_answer(CODER, chunk("Hel"), pb.GenerateChunk(), chunk("lo"), last)
    whole = await collect(answer)
    assert (whole.text, list(whole.tool_calls), whole.annotations) == ("Hello!", [], None)
    assert answer.end.completion.usage.completion_tokens == 3


async def test_pieces_of_calls_find_their_call() -> None:
    answer = played_answer(
        CODER,
        calling(begin(0, "add", '{"a"'), text="I add. "),
        calling(more(0, ": 1"), more(0, "}")),
        calling(begin(1, "subtract"), more(1, "{}")),
        last_chunk(9),
    )
    whole = await collect(answer)
    assert whole.text == "I add. "
    assert [(call.id, call.name, call.arguments) for call in whole.tool_calls] == [
        ("call_0", "add", '{"a": 1}'),
        ("call_1", "subtract", "{}"),
    ]


@pytest.mark.parametrize("has_documents", [False, True])
async def test_citations_are_none_where_there_was_nothing_to_cite(has_documents: bool) -> None:
    last = last_chunk(1)
    citation = chat.Annotation(start_index=0, end_index=3, title="a", url="https://a.example")
    last.completion.annotations.append(citation)
    whole = await collect(played_answer(CODER, chunk("[1]"), last, documents=DOCUMENTS[: int(has_documents)]))
    assert (whole.annotations is None) is not has_documents
    assert list(whole.annotations or [citation]) == [citation]


async def test_no_citation_of_documents_is_an_empty_list() -> None:
    whole = await collect(played_answer(CODER, chunk("no idea"), last_chunk(1), documents=DOCUMENTS))
    assert whole.annotations is not None
    assert list(whole.annotations) == []


async def test_half_an_answer_is_none() -> None:
    with pytest.raises(ExpertFailed):
        await collect(played_answer(CODER, chunk("Hel"), ExpertFailed("it broke")))
