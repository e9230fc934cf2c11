"""One honest try: what was left open is closed, Python is read as JSON, nothing is invented."""

import contextlib
import json
import warnings

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experts.conversation.json_repair import JsonScanner, mend, read_json


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"a": 1', {"a": 1}),
        ('{"a": [1, {"b": "c', {"a": [1, {"b": "c"}]}),
        ('{"a": "b}}', {"a": "b"}),
        ('{"a": 1,', {"a": 1}),
        ("{'a': 'it\\'s', 'b': (1, 2)}", {"a": "it's", "b": (1, 2)}),
        ('{"a": True, "b": [False, None], "c": "None"}', {"a": True, "b": [False, None], "c": "None"}),
        ('{"a": "line\nbreak"}', {"a": "line\nbreak"}),
        ("{'a': 1,}", {"a": 1}),
    ],
)
def test_mends(text: str, value: object) -> None:
    assert mend(text) == value


@pytest.mark.parametrize(
    "text",
    [
        "",
        '{"a": "b"]}',
        '{"a"',
        '{"a":',
        "{oh}",
        "__import__('os').system('true')",
        "{'a': {1, 2}}",
        "{'a': 1j}",
        "{'a': b'x'}",
        '{"a": NaN}',
        "{'a': 1e999}",
        "[" * 100_001,
        "[" * 5_000,
        "{'a': " * 3_000,
        "9" * 50_000,
    ],
)
def test_what_cannot_be_mended_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"not JSON|too long"):
        mend(text)


def test_pythons_warnings_stay_silent() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert mend("{'a': '\\d'}") == {"a": "\\d"}


@pytest.mark.parametrize("text", ["NaN", "[Infinity]", "[" * 100_000, "{'a': 1}", "9" * 5_000])
def test_reads_json_and_nothing_else(text: str) -> None:
    with pytest.raises(ValueError):
        read_json(text)


@given(st.dictionaries(st.text(max_size=5), st.recursive(st.none() | st.text(max_size=5), st.lists), max_size=4))
def test_the_scanner_finds_the_end(value: object) -> None:
    text = json.dumps(value, ensure_ascii=False)
    scanner = JsonScanner()
    for at, character in enumerate(text):
        scanner.push(character)
        assert scanner.is_complete == (at == len(text) - 1)


@given(st.text(alphabet="{}[]\"'\\,:aTrue1 \n", max_size=30))
def test_nothing_else_is_ever_raised(text: str) -> None:
    with contextlib.suppress(ValueError):
        json.dumps(mend(text))
