"""A text's plain form, and the way back to its places."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serve.steps.guard.plain_text import Places, plain


@pytest.mark.parametrize(
    ("text", "out"),
    [
        ("plain", "plain"),
        ("ｆｕｌｌ　ｗｉｄｔｈ", "full width"),
        ("раураl", "paypal"),  # Cyrillic
        ("i\u200bn\u2060v\ufeffi\u00ads", "invis"),
        ("a\u202eb\u2066c", "abc"),
        ("cafe\u0301 café", "cafe cafe"),
        ("①②", "12"),
        ("漢字 ไทย हिन्दी", "漢字 ไทย हिन्दी"),
    ],
)
def test_what_a_reader_sees(text: str, out: str) -> None:
    assert plain(text) == out


@given(st.text(), st.text())
def test_pieces_have_the_plain_form_of_the_whole(one: str, other: str) -> None:
    assert plain(one + other) == plain(one) + plain(other)


@given(st.text(min_size=1), st.data())
def test_a_span_leads_back_to_what_it_came_from(text: str, data: st.DataObject) -> None:
    seen = plain(text)
    if not seen:
        return
    start = data.draw(st.integers(0, len(seen) - 1))
    end = data.draw(st.integers(start + 1, len(seen)))
    first, last = Places(text).original(start, end)
    assert seen[start:end] in plain(text[first:last])
    assert len(plain(text[:first])) <= start
    assert len(plain(text[:last])) >= end
