"""Hand back in the replica: which beginnings decline, and that nothing else is changed, lost or held for long."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experts.catalog.spec import default_path, load_catalog
from experts.cluster.deployment import ExpertDeployment
from experts.conversation.hand_back import DECLINES, Beginning, may_hand_back, read_beginning, until_decided
from experts.engine import HEARTBEAT, Completion, FinishReason, TokenDelta, TokenLogprob
from experts.training.recipes.sample import read_seed
from experts.training.recipes.seed_files import read_seeds
from experts.training.recipes.tool_caller import NO_TOOL
from protos import chat_pb2, expert_pb2
from tests.experts.cluster.test_deployment import SPEC, Context, ScriptedEngine

CALL = '<tool_call>{"name": "get_time", "arguments": {"city": "Oslo"}}</tool_call>'
SENTENCES = [f"{decline} can do that." for decline in DECLINES]
NOT_DECLINES = [
    "For which city do you want the weather?",
    "None",
    "None of",
    "None of the flights leaves before noon.",
    "None of the toolsmiths answered.",
    "None of the tools2 is there.",
    "Nobody knows.",
    "No, there are none.",
    "none of the tools can do that.",
    "I can do none of the tools' work.",
    "没有一个人知道。",
    "Ни один из них не пришёл.",
    "Nice to meet you!",
    "Hello! What can I do for you?",
    " " * 9 + NO_TOOL,
    "\n" * 40,
    "",
    "<b>None of the tools</b>",
    CALL,
    "{" + NO_TOOL,
]
_Mode = chat_pb2.ToolChoice.Mode


def end(text: str = "", tokens: int = 0, total: int = 0) -> Completion:
    return Completion(FinishReason.STOP, 7, total, 0.5, 0.25, 0.125, TokenDelta(text, tokens))


async def play(items: Iterable[TokenDelta | Completion]) -> AsyncGenerator[TokenDelta | Completion, None]:
    for item in items:
        yield item


def pieces(text: str, cuts: Sequence[int]) -> list[str]:
    edges = [0, *sorted({cut for cut in cuts if 0 < cut < len(text)}), len(text)]
    return [text[a:b] for a, b in pairwise(edges)]


def deltas(parts: Sequence[str]) -> list[TokenDelta | Completion]:
    """Tell the prompt first, then a token a piece, then the end."""
    told: list[TokenDelta | Completion] = [TokenDelta("", 0, 7), *(TokenDelta(part, 1) for part in parts)]
    return [*told, end(total=len(parts))]


async def decided(items: Iterable[TokenDelta | Completion], stops: Sequence[str] = ()) -> list[TokenDelta | Completion]:
    return [item async for item in until_decided(play(items), stops=stops)]


def text_of(items: Sequence[TokenDelta | Completion]) -> str:
    return "".join(item.tail.text if isinstance(item, Completion) else item.text for item in items)


def tokens_of(items: Sequence[TokenDelta | Completion]) -> int:
    return sum(item.tail.token_count if isinstance(item, Completion) else item.token_count for item in items)


def prompts_of(items: Sequence[TokenDelta | Completion]) -> list[int]:
    told = (item.tail if isinstance(item, Completion) else item for item in items)
    return [delta.prompt_tokens for delta in told if delta.prompt_tokens]


@pytest.mark.parametrize("sentence", [NO_TOOL, *SENTENCES, *DECLINES, f"\n {NO_TOOL}", "None of the tools, I fear"])
async def test_a_decline_is_read_wherever_it_is_cut(sentence: str) -> None:
    for cut in range(len(sentence)):
        items = await decided(deltas(pieces(sentence, [cut])))
        last = items[-1]
        assert isinstance(last, Completion)
        assert last.handed_back
        assert text_of(items) == ""
        assert last.completion_tokens == tokens_of(items) > 0
        assert (last.prompt_tokens, prompts_of(items)) == (7, [7])


@pytest.mark.parametrize("sentence", [NO_TOOL, *SENTENCES])
async def test_a_decline_ends_the_generation_before_its_last_word(sentence: str) -> None:
    engine = ScriptedEngine(*deltas(list(sentence)), AssertionError("nobody needs more"))
    items = [item async for item in until_decided(engine.generate(None))]  # type: ignore[arg-type]  # played
    last = items[-1]
    assert isinstance(last, Completion)
    assert last.completion_tokens < len(sentence)
    assert (last.handed_back, engine.closed) == (True, 1)


@pytest.mark.parametrize("answer", NOT_DECLINES)
async def test_what_does_not_decline_leaves_as_it_came(answer: str) -> None:
    for cut in range(max(1, len(answer))):
        given_parts = pieces(answer, [cut])
        items = await decided(deltas(given_parts))
        last = items[-1]
        assert isinstance(last, Completion)
        assert not last.handed_back
        assert (text_of(items), tokens_of(items)) == (answer, len(given_parts))
        assert prompts_of(items) == [7]


@pytest.mark.parametrize(
    "said", ["N", "None", "None of the", "None of the tools", " None", "Keines der", "Aucun des o", "没有"]
)
async def test_a_decline_that_max_tokens_cuts_is_one(said: str) -> None:
    cut = replace(end(total=1), finish_reason=FinishReason.LENGTH)
    last = (await decided([TokenDelta(said, 1, 7), cut]))[-1]
    assert isinstance(last, Completion)
    assert last.handed_back


@pytest.mark.parametrize("said", ["", " ", "Nobody", "None of us", "17", "The", CALL[:5]])
async def test_another_beginning_that_max_tokens_cuts_is_an_answer(said: str) -> None:
    cut = replace(end(total=1), finish_reason=FinishReason.LENGTH)
    items = await decided([TokenDelta(said, 1, 7), cut])
    assert text_of(items) == said


@pytest.mark.parametrize(
    ("said", "stops"),
    [
        ("None", [" "]),
        ("N", ["o"]),
        ("", ["None"]),
        ("None of the ", ["x", "tools"]),
        ("None of the", [" tools can"]),
        ("Keines ", ["der"]),
        ("没有", ["一"]),
    ],
)
async def test_a_decline_that_a_stop_string_cuts_is_one(said: str, stops: list[str]) -> None:
    last = (await decided([TokenDelta(said, 1, 7), end(total=1)], stops))[-1]
    assert isinstance(last, Completion)
    assert last.handed_back


@pytest.mark.parametrize(
    ("said", "stops"),
    [("No", ["\n"]), ("None", [" flights"]), ("", ["\n", " "]), ("No", ["."]), ("17", ["None"])],
)
async def test_another_beginning_that_a_stop_string_cuts_is_an_answer(said: str, stops: list[str]) -> None:
    items = await decided([TokenDelta(said, 1, 7), end(total=1)], stops)
    assert text_of(items) == said


@given(
    st.one_of(st.text(max_size=60), st.sampled_from([*DECLINES, *SENTENCES, *NOT_DECLINES])),
    st.text(max_size=20),
    st.lists(st.integers(0, 80), max_size=8),
)
async def test_any_cuts_tell_the_same(head: str, tail: str, cuts: list[int]) -> None:
    text = head + tail
    parts = pieces(text, cuts)
    whole = (await decided(deltas([text])))[-1]
    items = await decided(deltas(parts))
    last = items[-1]
    assert isinstance(whole, Completion)
    assert isinstance(last, Completion)
    assert last.handed_back == whole.handed_back
    if not last.handed_back:
        assert (text_of(items), tokens_of(items)) == (text, len(parts))


@given(st.text(max_size=80))
def test_little_is_held(text: str) -> None:
    """What is still open is no longer than the longest sentence's beginning, spaces before it included."""
    if read_beginning(text) is Beginning.OPEN:
        assert len(text) <= max(map(len, DECLINES)) + 8


async def test_tokens_without_text_are_not_held_for_ever() -> None:
    items = await decided([TokenDelta("", 0, 7), *[TokenDelta("", 1)] * 200, end(total=200)])
    first = next(at for at, item in enumerate(items) if isinstance(item, TokenDelta) and item.token_count)
    assert first <= 70
    assert tokens_of(items) == 200


async def test_a_call_and_plain_words_leave_with_the_letter_that_tells_them() -> None:
    for answer, told in ((CALL, "<t"), ("For which city?", "F"), ("Hello", "H")):  # "<" may still be a mark
        items = await decided(deltas(list(answer)))
        texts = [item.text for item in items if isinstance(item, TokenDelta)]
        assert next(filter(None, texts)) == told


async def test_what_was_held_leaves_with_its_log_probabilities() -> None:
    told = [TokenLogprob(piece, -1.0) for piece in (b"No", b" idea")]
    held = [TokenDelta(one.token.decode(), 1, 0, (one,)) for one in told]
    items = await decided([*held, end(total=2)])
    assert [one for item in items if isinstance(item, TokenDelta) for one in item.logprobs] == told


async def test_a_waiting_answer_gives_signs_of_life_and_tells_the_prompt_at_once() -> None:
    items = await decided([HEARTBEAT, TokenDelta("", 0, 7), TokenDelta("None", 1), TokenDelta(" shall", 1), end()])
    assert items[:3] == [HEARTBEAT, TokenDelta("", 0, 7), HEARTBEAT]
    assert items[3] == TokenDelta("None shall", 2)


async def test_a_decline_that_comes_with_the_end_keeps_nothing_back_of_the_work() -> None:
    [item] = await decided([end(NO_TOOL, 9, 9)])
    assert isinstance(item, Completion)
    assert (item.handed_back, item.completion_tokens, item.tail) == (True, 9, TokenDelta("", 9))


async def test_times_are_measured_from_outside() -> None:
    script = [HEARTBEAT, TokenDelta("", 0, 7), TokenDelta("None of", 2), TokenDelta(" the tools can", 3)]
    times = iter([0.0, 1.0, 3.0, 7.0, 7.0])
    items = [item async for item in until_decided(play(script), lambda: next(times))]
    last = items[-1]
    assert isinstance(last, Completion)
    assert (last.queue_s, last.prefill_s, last.decode_s) == (1.0, 2.0, 4.0)


async def test_an_engine_that_ends_without_a_word_is_left_to_its_reader() -> None:
    assert await decided([TokenDelta("", 0, 7), TokenDelta("None", 1)]) == [TokenDelta("", 0, 7), HEARTBEAT]


def test_everything_that_the_recipe_teaches_is_told_apart() -> None:
    """Every seed that declines hands back; questions for what is missing, small talk, results and calls do not."""
    answers = [sample.answer for sample in read_seeds("tool-caller")]
    declines = [answer for answer in answers if read_beginning(answer, is_over=True) is Beginning.DECLINE]
    assert read_beginning(NO_TOOL) is Beginning.DECLINE
    assert len(declines) == 18
    assert not [answer for answer in declines if "?" in answer or "<tool_call>" in answer]
    openings = ("None of the", "Keines", "Ninguna", "Aucun", "Nessuno", "Ни один", "没有")
    assert {answer for answer in answers if answer.startswith(openings)} == set(declines)


def test_the_shipped_catalogues_say_who_hands_back() -> None:
    deploy = default_path().parent
    for name in ("experts.yaml", "experts.neuron.yaml"):
        assert load_catalog(deploy / name).handing_back == ("tool-caller",)


HANDS_BACK = SPEC.model_copy(update={"hands_back": True})
TOOL = {"type": "function", "function": {"name": "get_time", "description": "the time", "parameters": {}}}


def asked(mode: Any = None, role: str = "user", **fields: Any) -> expert_pb2.GenerateRequest:
    messages = [{"role": "user", "content": "What time is it?"}]
    if role != "user":
        called = {"id": "c", "function": {"name": "get_time", "arguments": "{}"}}
        messages += [{"role": "assistant", "tool_calls": [called]}, {"role": role, "tool_call_id": "c"}]  # type: ignore[dict-item,list-item]
    sample = read_seed({"messages": messages, "tools": [TOOL], "answer": "-"})
    if mode is not None:
        sample.conversation.tool_choice.mode = mode
        sample.conversation.tool_choice.name = "get_time"
    return expert_pb2.GenerateRequest(conversation=sample.conversation, **{"may_hand_back": True, **fields})


def without_tools() -> expert_pb2.GenerateRequest:
    request = asked()
    del request.conversation.tools[:]
    return request


@pytest.mark.parametrize("mode", [None, _Mode.MODE_UNSPECIFIED, _Mode.MODE_AUTO])
def test_who_may_hand_back(mode: Any) -> None:
    assert may_hand_back(HANDS_BACK, asked(mode))


@pytest.mark.parametrize(
    ("spec", "request_"),
    [
        (SPEC, asked()),
        (HANDS_BACK, asked(may_hand_back=False)),
        (HANDS_BACK, asked(_Mode.MODE_REQUIRED)),
        (HANDS_BACK, asked(_Mode.MODE_NAMED)),
        (HANDS_BACK, asked(_Mode.MODE_NONE)),
        (HANDS_BACK, asked(role="tool")),
        (HANDS_BACK, without_tools()),
        (HANDS_BACK, expert_pb2.GenerateRequest(conversation=chat_pb2.Conversation(), may_hand_back=True)),
        (HANDS_BACK, expert_pb2.GenerateRequest(prompt="None of the tools", may_hand_back=True)),
    ],
)
async def test_who_may_not(spec: Any, request_: expert_pb2.GenerateRequest) -> None:
    assert not may_hand_back(spec, request_)


async def chunks_of(spec: Any, request: expert_pb2.GenerateRequest, words: str) -> tuple[list[Any], ScriptedEngine]:
    engine = ScriptedEngine(*deltas(list(words)))
    deployment = ExpertDeployment(spec, lambda _: engine)
    return [chunk async for chunk in deployment.Generate(request, Context())], engine


async def test_a_replica_hands_back_in_place_of_an_answer() -> None:
    chunks, engine = await chunks_of(HANDS_BACK, asked(), NO_TOOL)
    *before, last = chunks
    assert not any(chunk.text or chunk.token_count or chunk.tool_calls for chunk in before)
    assert [chunk.prompt_tokens for chunk in before if chunk.prompt_tokens] == [7]
    completion = last.completion
    assert (completion.handed_back, last.text, engine.closed) == (True, "", 1)
    assert completion.usage.completion_tokens == last.token_count == len("None of the tools ")
    assert completion.load.max_batch_size == 4


@pytest.mark.parametrize(
    "request_", [asked(may_hand_back=False), asked(_Mode.MODE_NONE), asked(role="tool"), without_tools()]
)
async def test_without_leave_the_sentence_is_the_answer(request_: expert_pb2.GenerateRequest) -> None:
    chunks, _ = await chunks_of(HANDS_BACK, request_, NO_TOOL)
    assert "".join(chunk.text for chunk in chunks) == NO_TOOL
    assert not chunks[-1].completion.handed_back
    assert sum(chunk.token_count for chunk in chunks) == len(NO_TOOL)


@pytest.mark.parametrize("words", [CALL, "None of the flights leaves early.", "For which city?"])
async def test_with_leave_everything_else_is_as_without(words: str) -> None:
    def told(chunks: list[Any]) -> tuple[Any, ...]:
        calls = [(call.name, call.arguments) for chunk in chunks for call in chunk.tool_calls]
        usage = chunks[-1].completion.usage
        return "".join(chunk.text for chunk in chunks), calls, usage, chunks[-1].completion.finish_reason

    with_leave, _ = await chunks_of(HANDS_BACK, asked(), words)
    without, _ = await chunks_of(HANDS_BACK, asked(may_hand_back=False), words)
    assert told(with_leave) == told(without)
    assert sum(chunk.token_count for chunk in with_leave) == len(words)


async def test_a_client_that_leaves_while_the_beginning_waits_frees_the_slot() -> None:
    engine = ScriptedEngine(*deltas(list(NO_TOOL)))
    stream = ExpertDeployment(HANDS_BACK, lambda _: engine).Generate(asked(), Context())
    for _ in range(4):
        await anext(stream)
    await stream.aclose()
    assert engine.closed == 1
