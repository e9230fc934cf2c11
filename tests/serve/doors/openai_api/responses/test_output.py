"""The response object repeats what was asked, and its items' names lead back to it."""

from hypothesis import given
from hypothesis import strategies as st

from serve.doors.openai_api.responses.output import ResponseObject, item_id, response_of
from serve.doors.openai_api.responses.request import ResponsesBody


@given(
    hexadecimal=st.text("0123456789abcdef", min_size=1), index=st.integers(0, 200), kind=st.sampled_from(["msg", "fc"])
)
def test_an_item_leads_back_to_its_response(hexadecimal: str, index: int, kind: str) -> None:
    response = f"resp_{hexadecimal}"
    assert response_of(item_id(kind, response, index)) == response


def test_what_was_asked_is_repeated() -> None:
    tool = {"type": "function", "name": "add", "parameters": {"type": "object"}, "strict": True, "description": None}
    wanted = {"type": "json_schema", "name": "s", "schema": {"type": "object"}, "strict": None}
    asked = {
        "input": "x",
        "tools": [tool],
        "tool_choice": {"type": "function", "name": "add"},
        "text": {"format": wanted},
        "temperature": 0.5,
        "parallel_tool_calls": False,
        "user": "ada",
    }
    response = ResponseObject("resp_1", "coder", 1, ResponsesBody.model_validate(asked)).version("in_progress", ())
    for name in ("tools", "tool_choice", "text", "temperature", "parallel_tool_calls", "user"):
        assert response[name] == asked[name]
    assert (response["store"], response["usage"], response["output"]) == (False, None, [])


def test_what_was_not_asked_is_openais_default() -> None:
    response = ResponseObject.begin("resp_1", "coder", ResponsesBody(input="x")).version("completed", ())
    assert response["tool_choice"] == "auto"
    assert response["text"] == {"format": {"type": "text"}}
    assert (response["tools"], response["parallel_tool_calls"], response["metadata"]) == ([], True, {})
    assert response["completed_at"] >= response["created_at"]
