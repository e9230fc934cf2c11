"""Parts of a chat request: documents by any of their forms, and the core's words for each part."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from protos import chat_pb2 as chat
from serve.doors.openai_api.parts import (
    MessageBody,
    ResponseFormat,
    ToolBody,
    ToolChoice,
    to_message,
    to_response_format,
    to_tool_choice,
    to_tools,
)
from serve.errors import InvalidRequest

MODES = chat.ToolChoice
CHOICES: TypeAdapter[ToolChoice | None] = TypeAdapter(ToolChoice | None)


def message(**fields: Any) -> chat.Message:
    return to_message(MessageBody.model_validate(fields), "messages[3]")


def tools(*names: str) -> list[ToolBody]:
    return [ToolBody.model_validate({"type": "function", "function": {"name": name}}) for name in names]


def named(*names: str) -> list[dict[str, Any]]:
    return [{"type": "function", "function": {"name": name}} for name in names]


def allowed(mode: str, *names: str) -> ToolChoice | None:
    return CHOICES.validate_python({"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": named(*names)}})


class TestMessages:
    @pytest.mark.parametrize(
        ("role", "ours"),
        [
            ("system", chat.ROLE_SYSTEM),
            ("developer", chat.ROLE_SYSTEM),
            ("user", chat.ROLE_USER),
            ("assistant", chat.ROLE_ASSISTANT),
            ("tool", chat.ROLE_TOOL),
        ],
    )
    def test_every_role_has_ours(self, role: str, ours: chat.Role.ValueType) -> None:
        assert message(role=role, content="a") == chat.Message(role=ours, content="a")

    @pytest.mark.parametrize("role", ["system", "developer", "user", "tool"])
    def test_only_an_assistant_may_say_nothing(self, role: str) -> None:
        with pytest.raises(InvalidRequest) as refused:
            message(role=role)
        assert refused.value.param == "messages[3].content"
        assert message(role=role, content="").content == ""
        assert message(role="assistant").content == ""

    def test_a_refusal_stands_in_for_a_content_that_is_missing_and_for_no_other(self) -> None:
        assert message(role="assistant", refusal="No.").content == "No."
        assert message(role="assistant", content="", refusal="No.").content == ""

    def test_calls_and_their_answers_keep_their_ids(self) -> None:
        call = {"id": "c1", "function": {"name": "add", "arguments": "{"}}
        told = message(role="assistant", tool_calls=[call])
        assert list(told.tool_calls) == [chat.ToolCall(id="c1", name="add", arguments="{")]
        answer = message(role="tool", tool_call_id="c1", content="3", name="add")
        assert (answer.tool_call_id, answer.content, answer.name) == ("c1", "3", "add")


class TestTools:
    def test_a_schema_is_json_and_none_is_nothing(self) -> None:
        schema = {"type": "object", "properties": {"ä": {"type": "integer"}}}
        function = {"name": "add", "description": "adds", "parameters": schema}
        [tool] = to_tools([ToolBody.model_validate({"type": "function", "function": function})], None)
        assert (tool.name, tool.description) == ("add", "adds")
        assert orjson.loads(tool.parameters_json) == schema
        [bare] = to_tools(tools("bare"), None)
        assert (bare.description, bare.parameters_json) == ("", "")

    @pytest.mark.parametrize(
        ("said", "mode", "name"),
        [
            ("none", MODES.MODE_NONE, ""),
            ("auto", MODES.MODE_AUTO, ""),
            ("required", MODES.MODE_REQUIRED, ""),
            ({"type": "function", "function": {"name": "add"}}, MODES.MODE_NAMED, "add"),
        ],
    )
    def test_every_choice_has_ours_and_keeps_all_tools(self, said: Any, mode: Any, name: str) -> None:
        choice = CHOICES.validate_python(said)
        assert to_tool_choice(choice) == chat.ToolChoice(mode=mode, name=name)
        assert [tool.name for tool in to_tools(tools("add", "mul"), choice)] == ["add", "mul"]

    def test_no_choice_is_none(self) -> None:
        assert to_tool_choice(None) is None

    @given(st.lists(st.sampled_from(["add", "mul", "sub"]), max_size=4), st.sampled_from(["auto", "required"]))
    def test_allowed_tools_are_kept_in_the_order_of_the_tools(self, names: list[str], mode: str) -> None:
        choice = allowed(mode, *names)
        kept = [tool.name for tool in to_tools(tools("add", "mul", "sub"), choice)]
        assert kept == [name for name in ("add", "mul", "sub") if name in names]
        told = to_tool_choice(choice)
        assert told is not None
        assert told.mode == {"auto": MODES.MODE_AUTO, "required": MODES.MODE_REQUIRED}[mode]

    def test_one_that_is_not_there_cannot_be_allowed(self) -> None:
        with pytest.raises(InvalidRequest) as refused:
            to_tools(tools("add"), allowed("auto", "add", "mul"))
        assert refused.value.param == "tool_choice.allowed_tools.tools"


class TestForms:
    def form(self, **fields: Any) -> chat.ResponseFormat | None:
        return to_response_format(ResponseFormat.model_validate(fields))

    def test_text_asks_for_nothing(self) -> None:
        assert to_response_format(None) is None
        assert self.form(type="text") is None
        assert self.form(type="text", json_schema={"schema": {"type": "object"}}) is None

    def test_any_json(self) -> None:
        assert self.form(type="json_object") == chat.ResponseFormat(type=chat.ResponseFormat.TYPE_JSON_OBJECT)

    @pytest.mark.parametrize("strict", [None, False, True])
    def test_a_schema_goes_along_whole(self, strict: bool | None) -> None:
        schema = {"type": "object", "required": ["a"], "properties": {"a": {"const": 1}}}
        form = self.form(type="json_schema", json_schema={"name": "x", "schema": schema, "strict": strict})
        assert form is not None
        assert orjson.loads(form.schema_json) == schema
        assert (form.type, form.strict) == (chat.ResponseFormat.TYPE_JSON_SCHEMA, bool(strict))

    def test_without_one_anything_fits_but_the_wrapper_must_be_there(self) -> None:
        form = self.form(type="json_schema", json_schema={"name": "x"})
        assert form is not None
        assert orjson.loads(form.schema_json) == {}
        with pytest.raises(InvalidRequest) as refused:
            self.form(type="json_schema")
        assert refused.value.param == "response_format.json_schema"
