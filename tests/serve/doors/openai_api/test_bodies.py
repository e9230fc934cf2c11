"""OpenAI's request bodies: read, refused by the field at fault, and said in the core's words."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protos import chat_pb2 as chat
from serve.doors.json_body import parse
from serve.doors.openai_api.bodies import ChatCompletionBody, CompletionBody
from serve.errors import InvalidRequest, UnsupportedParameter

USER = {"role": "user", "content": "hello"}


def chatting(**fields: Any) -> ChatCompletionBody:
    return parse(ChatCompletionBody, json.dumps({"messages": [USER], **fields}).encode())


def completing(**fields: Any) -> CompletionBody:
    return parse(CompletionBody, json.dumps({"prompt": "hello", **fields}).encode())


class TestParse:
    @pytest.mark.parametrize(
        ("fields", "param"),
        [
            ({"messages": None}, "messages"),
            ({"messages": [USER, {"content": "x"}]}, "messages[1].role"),
            ({"messages": [{"role": "poet", "content": "x"}]}, "messages[0].role"),
            ({"max_tokens": 0}, "max_tokens"),
            ({"max_tokens": 2**32}, "max_tokens"),
            ({"max_completion_tokens": 1.5}, "max_completion_tokens"),
            ({"temperature": "0.5"}, "temperature"),
            ({"seed": 2**64}, "seed"),
            ({"seed": -(2**63) - 1}, "seed"),
            ({"stop": [1]}, "stop[0]"),
            ({"stream": "yes"}, "stream"),
            ({"stream_options": {"include_usage": 1}}, "stream_options.include_usage"),
            ({"tools": [{"type": "function"}]}, "tools[0].function"),
            ({"tools": [{"type": "web_search", "function": {"name": "f"}}]}, "tools[0]"),
            ({"response_format": {"type": "xml"}}, "response_format.type"),
            ({"documents": ["a", {"title": "b"}]}, "documents[1].text"),
            (
                {"messages": [USER | {"tool_calls": [{"id": "1", "function": {"name": "f"}}]}]},
                "messages[0].tool_calls[0].function.arguments",
            ),
        ],
    )
    def test_the_field_at_fault_is_named_as_the_client_wrote_it(self, fields: dict[str, Any], param: str) -> None:
        with pytest.raises(InvalidRequest) as refused:
            chatting(**fields)
        assert refused.value.param == param
        assert f"'{param}'" in refused.value.message

    @given(st.text(st.characters(codec="utf-8", categories=["L", "N"]), min_size=12, max_size=30))
    def test_what_was_said_is_never_repeated(self, secret: str) -> None:
        for fields in ({"temperature": secret}, {"messages": [{"role": secret, "content": "x"}]}, {"seed": [secret]}):
            with pytest.raises(InvalidRequest) as refused:
                chatting(**fields)
            assert secret not in refused.value.message

    @given(st.dictionaries(st.text(max_size=9).map(lambda name: f"x_{name}"), st.text(max_size=5), max_size=4))
    def test_fields_of_tomorrow_are_ignored(self, unknown: dict[str, str]) -> None:
        assert chatting(**unknown) == chatting()


class TestSampling:
    def test_what_is_not_said_or_null_stays_unset(self) -> None:
        names = ("max_tokens", "temperature", "top_p", "seed", "stop", "frequency_penalty", "presence_penalty")
        for body in (chatting(), chatting(**dict.fromkeys(names)), completing(**dict.fromkeys(names))):
            assert body.to_sampling() == chat.Sampling()

    def test_zero_is_said(self) -> None:
        sampling = chatting(temperature=0, top_p=0.0, seed=0, frequency_penalty=0).to_sampling()
        for name in ("temperature", "top_p", "seed", "frequency_penalty"):
            assert sampling.HasField(name)
        assert not sampling.HasField("presence_penalty")

    def test_each_goes_to_its_own_field(self) -> None:
        said = {"temperature": 0.5, "top_p": 0.25, "frequency_penalty": 1.0, "presence_penalty": -1.0, "seed": 3}
        for body in (chatting(max_tokens=9, stop="a", **said), completing(max_tokens=9, stop=["a"], **said)):
            assert body.to_sampling() == chat.Sampling(max_tokens=9, stop=["a"], **said)

    @pytest.mark.parametrize(("old", "new", "wins"), [(5, 9, 9), (9, 5, 5), (5, None, 5), (None, 9, 9)])
    def test_the_newer_name_of_max_tokens_wins(self, old: int | None, new: int | None, wins: int) -> None:
        assert chatting(max_tokens=old, max_completion_tokens=new).to_sampling().max_tokens == wins

    @pytest.mark.parametrize(("seed", "ours"), [(-1, 2**64 - 1), (-(2**63), 2**63), (2**64 - 1, 2**64 - 1), (7, 7)])
    def test_seeds_are_64_bits_signed_or_not(self, seed: int, ours: int) -> None:
        assert chatting(seed=seed).to_sampling().seed == ours

    @pytest.mark.parametrize(("options", "wanted"), [(None, False), ({}, False), ({"include_usage": True}, True)])
    def test_usage_of_a_stream(self, options: Any, wanted: bool) -> None:
        assert chatting(stream_options=options).include_usage is wanted


class TestChat:
    def test_everything_of_a_conversation_is_there(self) -> None:
        tool = {"type": "function", "function": {"name": "add"}}
        said = chatting(
            messages=[{"role": "system", "content": "short"}, USER],
            tools=[tool],
            tool_choice="required",
            documents=["first", {"title": "t", "text": "second", "url": "u"}],
            parallel_tool_calls=False,
            response_format={"type": "json_object"},
        ).to_input()
        assert [message.content for message in said.messages] == ["short", "hello"]
        assert [tool.name for tool in said.tools] == ["add"]
        assert said.tool_choice.mode == chat.ToolChoice.MODE_REQUIRED
        assert list(said.documents) == [chat.Document(text="first"), chat.Document(title="t", text="second", url="u")]
        assert said.HasField("parallel_tool_calls")
        assert said.parallel_tool_calls is False
        assert said.response_format.type == chat.ResponseFormat.TYPE_JSON_OBJECT

    def test_what_is_not_said_is_not_there(self) -> None:
        turn = chat.Message(role=chat.ROLE_USER, content="hello")
        assert chatting().to_input() == chat.Conversation(messages=[turn])

    def test_a_message_without_content_is_named_by_its_place(self) -> None:
        with pytest.raises(InvalidRequest) as refused:
            chatting(messages=[USER, {"role": "user"}]).to_input()
        assert refused.value.param == "messages[1].content"


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (completing(echo=True), "echo"),
        (completing(suffix="x"), "suffix"),
        (completing(best_of=2), "best_of"),
        (chatting(n=1, logprobs=False), None),
        (completing(n=1, best_of=1, echo=False, suffix=""), None),
    ],
)
def test_what_is_understood_and_not_offered(body: ChatCompletionBody | CompletionBody, param: str | None) -> None:
    if param is None:
        body.refuse_unsupported()
        return
    with pytest.raises(UnsupportedParameter) as refused:
        body.refuse_unsupported()
    assert refused.value.param == param


@pytest.mark.parametrize(("prompt", "texts"), [("a b", ["a b"]), (["a b"], ["a b"]), (["a", "b"], ["a", "b"])])
def test_a_prompt_is_a_text_or_several(prompt: Any, texts: list[str]) -> None:
    assert completing(prompt=prompt).to_inputs() == texts


@pytest.mark.parametrize("prompt", [[1, 2], [[1]], [None], ["a", 1]])
def test_tokens_are_not_offered(prompt: Any) -> None:
    with pytest.raises(UnsupportedParameter) as refused:
        completing(prompt=prompt)
    assert refused.value.param == "prompt"


@pytest.mark.parametrize("prompt", [None, 7, {"text": "a"}, [], ["a"] * 17])
def test_what_is_no_prompt_is_a_mistake(prompt: Any) -> None:
    with pytest.raises(InvalidRequest) as refused:
        completing(prompt=prompt)
    assert refused.value.param == "prompt"
    assert not isinstance(refused.value, UnsupportedParameter)


@pytest.mark.parametrize(
    ("body", "asked"),
    [
        (chatting(), {}),
        (chatting(logprobs=False, top_logprobs=0, logit_bias={}), {}),
        (chatting(logprobs=True), {"logprobs": True}),
        (chatting(logprobs=True, top_logprobs=3), {"logprobs": True, "top_logprobs": 3}),
        (completing(logprobs=0), {"logprobs": True}),
        (completing(logprobs=2), {"logprobs": True, "top_logprobs": 2}),
        (chatting(logit_bias={"7": -100, "8": 0.5}), {"logit_bias": {7: -100.0, 8: 0.5}}),
    ],
)
def test_what_is_asked_about_tokens(body: ChatCompletionBody | CompletionBody, asked: dict[str, Any]) -> None:
    assert body.to_sampling() == chat.Sampling(**asked)


@pytest.mark.parametrize(
    "fields",
    [{"logit_bias": {"x": 1}}, {"logit_bias": {"-1": 1}}, {"logit_bias": {"1": "a"}}, {"top_logprobs": 21}],
)
def test_what_no_token_is_called(fields: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest):
        chatting(**fields)
