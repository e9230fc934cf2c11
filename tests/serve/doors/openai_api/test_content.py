"""A message's parts become one text; what is no text is refused by its place."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from serve.doors.openai_api.parts import MessageBody, to_message


@given(st.lists(st.tuples(st.sampled_from(["text", "refusal"]), st.text(max_size=9)), max_size=5))
def test_parts_are_lines_of_one_text(parts: list[tuple[str, str]]) -> None:
    content = [{"type": kind, kind: text} for kind, text in parts]
    message = MessageBody.model_validate({"role": "user", "content": content})
    assert to_message(message, "messages[3]").content == "\n".join(text for _, text in parts)


@pytest.mark.parametrize(
    "part",
    [
        {"type": "image_url", "image_url": {"url": "x"}},
        {"type": "input_audio", "input_audio": {}},
        {"type": "text"},
        {"type": "text", "text": 7},
        {"type": "refusal", "text": "x"},
        {"text": "x"},
        {"type": ["text"], "text": "x"},
        None,
        ["text"],
    ],
)
def test_any_other_part_is_refused_without_its_value(part: Any) -> None:
    with pytest.raises(ValidationError) as refused:
        MessageBody.model_validate({"role": "user", "content": [{"type": "text", "text": "a"}, part]})
    [mistake] = refused.value.errors()
    assert mistake["loc"][:2] == ("content", 1)
    kind = part.get("type") if isinstance(part, dict) else None
    refusals = ("this type is not supported", f"the type '{kind}' is not supported")
    assert mistake["msg"] in (*refusals, "Field required", "Input should be a valid string")
