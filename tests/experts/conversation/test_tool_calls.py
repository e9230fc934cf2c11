"""Calls are read out of a model's words however the words were cut, and nothing else is lost, changed or delayed."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experts.conversation.tool_call import Outcome
from experts.conversation.tool_calls import CLOSE, OPEN, Piece, ToolCallReader, new_call_id
from experts.conversation.tool_offer import ToolOffer
from experts.json_schema.reduction import reduce_schema

CITY = reduce_schema(
    {"type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "integer"}}, "required": ["city"]},
    "forgiving",
)
SCHEMAS = {"get_weather": CITY, "now": {"type": "object"}}
Calls = list[tuple[str, str]]


def tagged(body: str) -> str:
    return f"{OPEN}{body}{CLOSE}"


OSLO = tagged('{"name": "get_weather", "arguments": {"city": "Oslo"}}')
PARIS = tagged('{"name": "get_weather", "arguments": {"city": "Paris", "days": 2}}')
OSLO_CALL = ("get_weather", '{"city": "Oslo"}')
PARIS_CALL = ("get_weather", '{"city": "Paris", "days": 2}')


def reader(*, at_most_one: bool = False, is_constrained: bool = False) -> ToolCallReader:
    numbers = itertools.count()
    offer = ToolOffer(SCHEMAS, at_most_one=at_most_one, is_constrained=is_constrained)
    return ToolCallReader(offer, lambda: f"call_{next(numbers)}")


def read(parts: Iterable[str], *, is_cut: bool = False, using: ToolCallReader | None = None) -> tuple[str, Calls]:
    """Read an answer that came in `parts`; return its words and its calls."""
    using = using or reader()
    pieces = [piece for part in parts for piece in using.push(part)] + using.close(is_cut=is_cut)
    return joined(pieces)


def joined(pieces: Sequence[Piece]) -> tuple[str, Calls]:
    """Put pieces together as a client does, checking the order that clients rely on."""
    words, calls, ids = "", [], []
    for piece in pieces:
        if isinstance(piece, str):
            words += piece
        elif piece.id:
            assert piece.index == len(calls) and not piece.arguments
            calls.append((piece.name, ""))
            ids.append(piece.id)
        else:
            assert piece.index == len(calls) - 1 and piece.arguments and not piece.name
            calls[-1] = (calls[-1][0], calls[-1][1] + piece.arguments)
    assert len(set(ids)) == len(ids)
    return words, calls


ANSWERS = {
    "plain words": ("It is 3 < 4, <b>bold</b> <tool or not.", "It is 3 < 4, <b>bold</b> <tool or not.", []),
    "one call": (OSLO, "", [OSLO_CALL]),
    "parallel": (f"{OSLO}\n{PARIS}", "", [OSLO_CALL, PARIS_CALL]),
    "parallel with no line between": (OSLO + PARIS + "\n", "", [OSLO_CALL, PARIS_CALL]),
    "words before": (f"Looking.\n{OSLO}", "Looking.\n", [OSLO_CALL]),
    "words behind": (f"{OSLO}\nDone.", "\nDone.", [OSLO_CALL]),
    "spaces before": (f"\n  {OSLO}", "", [OSLO_CALL]),
    "spaces inside": (tagged('\n{ "name" :"now",\n "arguments":{ } }\n'), "", [("now", "{}")]),
    "tags in a string": (
        tagged(f'{{"name": "get_weather", "arguments": {{"city": "{OPEN} \\"{CLOSE}"}}}}'),
        "",
        [("get_weather", f'{{"city": "{OPEN} \\"{CLOSE}"}}')],
    ),
    "other scripts": (
        tagged('{"name": "get_weather", "arguments": {"city": "Zürich 日本 😀"}}'),
        "",
        [("get_weather", '{"city": "Zürich 日本 😀"}')],
    ),
    "escapes": (
        tagged('{"name": "get_weather", "arguments": {"city": "\\u00e9\\ud800"}}'),
        "",
        [("get_weather", '{"city": "\\u00e9\\ud800"}')],
    ),
    "the tag as a word": (f"Write {OPEN} to call.", f"Write {OPEN} to call.", []),
    "an unknown tool": (tagged('{"name": "rm", "arguments": {}}'), tagged('{"name": "rm", "arguments": {}}'), []),
    "no object": (tagged("[1]"), tagged("[1]"), []),
    "no name": (tagged("{}"), tagged("{}"), []),
    "NaN": (tagged('{"name": "now", "arguments": {"x": NaN}}'), tagged('{"name": "now", "arguments": {"x": NaN}}'), []),
    "a bad one between good ones": (
        f"{OSLO}\n{tagged('{oh}')}\n{PARIS}",
        f"\n{tagged('{oh}')}\n",
        [OSLO_CALL, PARIS_CALL],
    ),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_the_same_however_it_was_cut(name: str) -> None:
    answer, words, calls = ANSWERS[name]
    assert read([answer]) == (words, calls)
    assert read(answer) == (words, calls), "character by character"
    for at in range(len(answer)):
        assert read([answer[:at], answer[at:]]) == (words, calls), f"cut at {at}"


MENDED = {
    "no closing tag": f'{OPEN}{{"name": "get_weather", "arguments": {{"city": "Oslo"}}}}',
    "no last brace": tagged('{"name": "get_weather", "arguments": {"city": "Oslo"}'),
    "no braces at all": tagged('{"name": "get_weather", "arguments": {"city": "Oslo"'),
    "no closing quote": tagged('{"name": "get_weather", "arguments": {"city": "Oslo}}'),
    "nothing closed": f'{OPEN}{{"name": "get_weather", "arguments": {{"city": "Oslo',
    "a brace too many": tagged('{"name": "get_weather", "arguments": {"city": "Oslo"}}}'),
    "Python's quotes": tagged("{'name': 'get_weather', 'arguments': {'city': 'Oslo'}}"),
    "another case": tagged('{"name": "Get_Weather", "arguments": {"city": "Oslo"}}'),
    "arguments as text": tagged('{"name": "get_weather", "arguments": "{\\"city\\": \\"Oslo\\"}"}'),
    "a comma too many": tagged('{"name": "get_weather", "arguments": {"city": "Oslo",}}'),
}


@pytest.mark.parametrize("name", MENDED)
def test_small_mistakes_are_mended(name: str) -> None:
    answer = MENDED[name]
    for parts in ([answer], list(answer)):
        using = reader()
        assert read(parts, using=using) == ("", [OSLO_CALL])
        assert sum(using.counts.values()) == 1
        assert using.counts[Outcome.TEXT] == 0
    behind = read(f"{answer}\n{PARIS}")
    assert behind == ("", [OSLO_CALL, PARIS_CALL]), "the next call is not swallowed"


def test_pythons_constants_are_read_as_jsons() -> None:
    body = tagged('{"name": "now", "arguments": {"a": True, "b": [None, "True"]}}')
    assert read([body]) == ("", [("now", '{"a": true, "b": [null, "True"]}')])


@pytest.mark.parametrize(
    ("answer", "outcomes"),
    [
        ("words", {}),
        (OSLO, {Outcome.OK: 1}),
        (MENDED["no last brace"], {Outcome.REPAIRED: 1}),
        (MENDED["another case"], {Outcome.REPAIRED: 1}),
        (ANSWERS["an unknown tool"][0], {Outcome.TEXT: 1}),
        (f"{OPEN}!", {Outcome.TEXT: 1}),
        (tagged('{"name": "get_weather", "arguments": {"city": 7}}'), {Outcome.INVALID_ARGUMENTS: 1}),
        (tagged('{"name": "get_weather", "arguments": {}}'), {Outcome.INVALID_ARGUMENTS: 1}),
        (tagged('{"name": "get_weather", "arguments": {"city": "a", "city": "b"}}'), {Outcome.INVALID_ARGUMENTS: 1}),
        (f"{OSLO}\n{PARIS}\n{tagged('{')}", {Outcome.OK: 2, Outcome.TEXT: 1}),
    ],
)
def test_every_call_is_counted_once(answer: str, outcomes: dict[Outcome, int]) -> None:
    using = reader()
    read(answer, using=using)
    assert dict(using.counts) == outcomes


def test_arguments_that_do_not_follow_the_schema_are_the_callers_to_judge() -> None:
    assert read([tagged('{"name": "get_weather", "arguments": {"city": 7}}')])[1] == [("get_weather", '{"city": 7}')]


def test_words_are_not_delayed() -> None:
    using = reader()
    assert using.push("Once upon") == ["Once upon"]
    assert using.push(" a time <") == [" a time "]
    assert using.push("b> <tool_") == ["<b> "]
    assert using.push("box") == ["<tool_box"]


def test_a_call_leaves_when_its_object_is_complete() -> None:
    using = reader()
    assert using.push(OSLO.removesuffix("}" + CLOSE)) == []
    assert joined(using.push("}")) == ("", [OSLO_CALL])


def test_a_call_that_was_cut_off_is_not_guessed() -> None:
    begun = OSLO[:50]
    assert read([begun], is_cut=True) == ("", [])
    assert read([f"Well. {begun}"], is_cut=True) == ("Well. ", [])
    assert read([f"{OPEN}{{"], is_cut=True) == ("", []), "markup is never shown"
    assert read([f"{OSLO}\n{begun}"], is_cut=True) == ("", [OSLO_CALL])
    assert read([f"{OSLO}\n<tool"], is_cut=True) == ("", [OSLO_CALL])
    assert read(["Hello <tool"], is_cut=True) == ("Hello ", [])
    assert read(["3 <"], is_cut=True) == ("3 <", [])
    assert read([MENDED["another case"].replace(CLOSE, "")], is_cut=True)[1] == [OSLO_CALL], "complete all the same"


def test_at_most_one_call() -> None:
    using = reader(at_most_one=True)
    assert read(f"{OSLO}\n{PARIS}", using=using) == ("", [OSLO_CALL])
    assert dict(using.counts) == {Outcome.OK: 1}


@pytest.mark.parametrize("name", ["one call", "parallel", "words before", "other scripts", "tags in a string"])
def test_constrained_calls_stream_their_arguments(name: str) -> None:
    answer, words, calls = ANSWERS[name]
    using = reader(is_constrained=True)
    pieces = [piece for character in answer for piece in using.push(character)] + using.close(is_cut=False)
    assert joined(pieces) == (words, calls)
    assert sum(not isinstance(piece, str) for piece in pieces) > 10 * len(calls)
    assert dict(using.counts) == {Outcome.OK: len(calls)}
    for at in range(len(answer)):
        assert read([answer[:at], answer[at:]], using=reader(is_constrained=True)) == (words, calls)


def test_constrained_arguments_that_were_cut_off_stay_what_was_sent() -> None:
    using = reader(is_constrained=True)
    assert read(OSLO[:57], is_cut=True, using=using) == ("", [("get_weather", '{"city": ')])
    assert dict(using.counts) == {Outcome.INVALID_ARGUMENTS: 1}
    assert using.is_cut


def test_ids_are_unique() -> None:
    assert len({new_call_id() for _ in range(100)}) == 100


@pytest.mark.parametrize(
    ("said", "is_constrained", "shown"),
    [
        ("<", True, ""),
        (" <", True, " "),
        (OSLO + "<", True, ""),
        ("3 <", True, "3 <"),
        ("a<", True, "a<"),
        ("<", False, "<"),
    ],
)
def test_the_tags_first_letter_is_markup_where_a_grammar_holds_calls(
    said: str, is_constrained: bool, shown: str
) -> None:
    words, _ = read([said], is_cut=True, using=reader(is_constrained=is_constrained))
    assert words == shown


SCRAPS = [
    OPEN,
    CLOSE,
    "{",
    "}",
    '"',
    "\\",
    "\n",
    "name",
    '"name": "now"',
    '"arguments": ',
    "{}",
    OSLO,
    "'",
    "é",
    "<",
    ":",
]


@given(st.lists(st.sampled_from(SCRAPS), max_size=12), st.integers(1, 7), st.booleans(), st.booleans())
def test_any_text_any_cut(scraps: list[str], size: int, is_constrained: bool, is_cut: bool) -> None:
    text = "".join(scraps)
    parts = [text[at : at + size] for at in range(0, len(text), size)]
    words, calls = read(parts, is_cut=is_cut, using=reader(is_constrained=is_constrained))
    assert (words, calls) == read([text], is_cut=is_cut, using=reader(is_constrained=is_constrained))
    for name, arguments in calls:
        assert name in SCHEMAS
        assert is_constrained or isinstance(json.loads(arguments), dict)
    if OPEN not in text and not is_cut:
        assert (words, calls) == (text, [])


@given(
    st.lists(
        st.dictionaries(
            st.text(max_size=8), st.recursive(st.none() | st.booleans() | st.text(max_size=8), st.lists, max_leaves=6)
        ),
        min_size=1,
        max_size=3,
    ),
    st.integers(1, 9),
)
def test_whatever_was_said_in_the_form_is_read(all_arguments: list[dict[str, object]], size: int) -> None:
    calls = [json.dumps({"name": "now", "arguments": arguments}, ensure_ascii=False) for arguments in all_arguments]
    text = "\n".join(map(tagged, calls))
    words, found = read(text[at : at + size] for at in range(0, len(text), size))
    assert words == ""
    assert [json.loads(arguments) for _, arguments in found] == all_arguments
