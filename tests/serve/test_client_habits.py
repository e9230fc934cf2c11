"""What OpenAI takes and clients send: history with empty turns, fields of null, parameters that are not offered."""

from typing import Any

import grpc
import httpx2
import pytest

from experts.engine import no_room
from protos import chat_pb2 as chat
from protos import gateway_pb2 as pb
from protos.gateway_pb2_grpc import GatewayStub
from tests.fakes.expert_server import FakeExperts
from tests.helpers import CHAT

USER = {"role": "user", "content": "hello"}
CALL = {"id": "c1", "type": "function", "function": {"name": "add", "arguments": "{}"}}
ADD, MUL = (
    {"type": "function", "function": {"name": name, "parameters": {"type": "object"}}} for name in ("add", "mul")
)


def asked(**fields: Any) -> dict[str, Any]:
    return {"model": "coder", "messages": [USER], **fields}


@pytest.mark.parametrize(
    ("turns", "contents"),
    [
        ([{"role": "system", "content": ""}], [""]),
        ([{"role": "developer", "content": ""}], [""]),
        ([{"role": "user", "content": ""}], [""]),
        ([{"role": "user", "content": []}], [""]),
        ([{"role": "user", "content": [{"type": "text", "text": ""}]}], [""]),
        ([{"role": "assistant", "content": ""}], [""]),
        ([{"role": "assistant", "content": None}], [""]),
        ([{"role": "assistant"}], [""]),
        ([{"role": "assistant", "content": None, "refusal": "I will not."}], ["I will not."]),
        ([{"role": "assistant", "refusal": "I will not.", "content": ""}], [""]),
        ([{"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]}], ["No."]),
        (
            [{"role": "assistant", "content": [{"type": "text", "text": "a"}, {"type": "refusal", "refusal": "b"}]}],
            ["a\nb"],
        ),
        (
            [
                {"role": "assistant", "content": None, "tool_calls": [CALL]},
                {"role": "tool", "tool_call_id": "c1", "content": ""},
            ],
            ["", ""],
        ),
        (
            [
                {"role": "assistant", "tool_calls": [CALL], "refusal": None, "function_call": None, "audio": None},
                {"role": "tool", "tool_call_id": "c1", "content": [], "name": None},
            ],
            ["", ""],
        ),
    ],
)
async def test_history_that_says_nothing(
    http: httpx2.AsyncClient, experts: FakeExperts, turns: list[dict[str, Any]], contents: list[str]
) -> None:
    response = await http.post(CHAT, json=asked(messages=[*turns, USER]))
    assert response.status_code == 200, response.text
    heard = [message.content for message in experts["coder"].requests[0].conversation.messages]
    assert heard == [*contents, "hello"]


async def test_an_empty_answer_can_be_sent_back(http: httpx2.AsyncClient, experts: FakeExperts) -> None:
    experts["coder"].words = []
    message = (await http.post(CHAT, json=asked())).json()["choices"][0]["message"]
    assert message["content"] == ""
    assert (await http.post(CHAT, json=asked(messages=[USER, message, USER]))).status_code == 200


async def test_the_grpc_door_takes_it_too(stub: GatewayStub) -> None:
    roles = (chat.ROLE_SYSTEM, chat.ROLE_ASSISTANT, chat.ROLE_USER)
    messages = [chat.Message(role=role, content="") for role in roles]
    messages.append(chat.Message(role=chat.ROLE_USER, content="hello"))
    answer = await stub.Complete(pb.GenerateRequest(model="coder", conversation=chat.Conversation(messages=messages)))
    assert answer.text


@pytest.mark.parametrize(
    ("messages", "param"),
    [
        ([{"role": "user", "content": None}], "messages[0].content"),
        ([USER, {"role": "user"}], "messages[1].content"),
        ([{"role": "system", "content": None}, USER], "messages[0].content"),
        ([USER, {"role": "tool", "tool_call_id": "c1", "content": None}], "messages[1].content"),
        ([{"role": "user", "content": ""}], "messages[0].content"),
        ([{"role": "system", "content": ""}, {"role": "user", "content": ""}], "messages[1].content"),
        ([{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}], "messages[0].content[0]"),
        ([{"role": "user", "content": [{"type": "refusal", "text": "x"}]}], "messages[0].content[0].refusal"),
        ([{"role": "user", "content": [{"type": ["text"], "text": "x"}]}], "messages[0].content[0]"),
        ([{"role": "user", "content": ["x"]}], "messages[0].content[0]"),
        ([{"role": "user", "content": {"type": "text", "text": "x"}}], "messages[0].content"),
        ([USER, {"role": "function", "name": "f", "content": "x"}], "messages[1].role"),
    ],
)
async def test_what_no_client_means(http: httpx2.AsyncClient, messages: list[dict[str, Any]], param: str) -> None:
    response = await http.post(CHAT, json=asked(messages=messages))
    assert (response.status_code, response.json()["error"]["param"]) == (400, param)


NULLS = (
    *("model", "stream", "stream_options", "max_tokens", "max_completion_tokens", "temperature", "top_p", "seed"),
    *("stop", "frequency_penalty", "presence_penalty", "n", "logit_bias", "logprobs", "top_logprobs", "tools"),
    *("tool_choice", "parallel_tool_calls", "response_format", "functions", "function_call", "modalities", "audio"),
    *("prediction", "web_search_options", "documents", "quality_cost", "ttft_target_ms", "user", "metadata", "store"),
    *("service_tier", "reasoning_effort", "verbosity", "prompt_cache_key", "safety_identifier"),
)


@pytest.mark.parametrize("name", NULLS)
async def test_null_is_nothing_said(http: httpx2.AsyncClient, name: str) -> None:
    response = await http.post(CHAT, json={**asked(), name: None})
    assert response.status_code == 200, response.text


async def test_null_everywhere_at_once(http: httpx2.AsyncClient) -> None:
    tool = {"type": "function", "function": {"name": "add", "description": None, "parameters": None, "strict": None}}
    response = await http.post(CHAT, json={**dict.fromkeys(NULLS), "messages": [USER], "tools": [tool]})
    assert response.status_code == 200, response.text
    nulls = dict.fromkeys(("logprobs", "echo", "best_of", "suffix", "n", "logit_bias", "stop", "max_tokens", "model"))
    response = await http.post("/v1/completions", json={**nulls, "prompt": "hello"})
    assert response.status_code == 200, response.text


@pytest.mark.parametrize(
    "fields",
    [
        {"logit_bias": {"50256": -100}},  # the scripted engine takes none
        {"functions": [{"name": "f"}]},
        {"function_call": {"name": "f"}},
        {"audio": {"voice": "alloy", "format": "wav"}},
        {"modalities": ["text", "audio"]},
        {"prediction": {"type": "content", "content": "x"}},
        {"web_search_options": {}},
    ],
)
async def test_what_is_not_offered_is_refused_by_name(http: httpx2.AsyncClient, fields: dict[str, Any]) -> None:
    response = await http.post(CHAT, json=asked(**fields))
    error = response.json()["error"]
    (name,) = fields
    assert (response.status_code, error["param"], error["code"]) == (400, name, "unsupported_parameter")


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"function_call": {"name": "f", "arguments": "{}"}}, "messages[0].function_call"),
        ({"audio": {"id": "a"}}, "messages[0].audio"),
    ],
)
async def test_so_is_what_a_message_cannot_carry(http: httpx2.AsyncClient, fields: dict[str, Any], param: str) -> None:
    response = await http.post(CHAT, json=asked(messages=[{"role": "assistant", "content": None, **fields}, USER]))
    error = response.json()["error"]
    assert (response.status_code, error["param"], error["code"]) == (400, param, "unsupported_parameter")


@pytest.mark.parametrize(
    "fields",
    [
        {"logit_bias": {}},
        {"functions": []},
        {"function_call": "none"},
        {"function_call": "auto"},
        {"modalities": ["text"]},
        {"top_logprobs": 0},
        {"logprobs": False},
        {"n": 1},
    ],
)
async def test_what_asks_for_nothing_is_taken(http: httpx2.AsyncClient, fields: dict[str, Any]) -> None:
    assert (await http.post(CHAT, json=asked(**fields))).status_code == 200


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"prompt": [1, 2, 3]}, "prompt"),
        ({"prompt": [[1, 2], [3]]}, "prompt"),
        ({"prompt": "a", "logit_bias": {"1": 1}}, "logit_bias"),
        ({"prompt": "a", "logprobs": 5}, "logprobs"),
        ({"prompt": "a", "echo": True}, "echo"),
        ({"prompt": "a", "suffix": "b"}, "suffix"),
        ({"prompt": "a", "best_of": 2}, "best_of"),
    ],
)
async def test_completions_refuse_by_name(http: httpx2.AsyncClient, fields: dict[str, Any], param: str) -> None:
    response = await http.post("/v1/completions", json={"model": "coder", **fields})
    error = response.json()["error"]
    assert (response.status_code, error["param"], error["code"]) == (400, param, "unsupported_parameter")


async def test_a_list_of_one_prompt_is_a_prompt(http: httpx2.AsyncClient, experts: FakeExperts) -> None:
    assert (await http.post("/v1/completions", json={"model": "coder", "prompt": ["def f("]})).status_code == 200
    assert experts["coder"].requests[0].prompt == "def f("


async def test_top_p_of_nothing_and_more_tokens_than_fit(http: httpx2.AsyncClient, experts: FakeExperts) -> None:
    assert (await http.post(CHAT, json=asked(top_p=0, max_tokens=100_000))).status_code == 200
    sampling = experts["coder"].requests[0].sampling
    assert sampling == chat.Sampling(temperature=0, max_tokens=1000)  # the catalogue's windows


class TestAllowedTools:
    def choice(self, mode: str, *names: str) -> dict[str, Any]:
        tools = [{"type": "function", "function": {"name": name}} for name in names]
        return {"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": tools}}

    @pytest.mark.parametrize(
        ("mode", "names", "kept", "expected"),
        [
            ("auto", ("add",), ["add"], chat.ToolChoice.MODE_AUTO),
            ("required", ("mul",), ["mul"], chat.ToolChoice.MODE_REQUIRED),
            ("required", ("mul", "add"), ["add", "mul"], chat.ToolChoice.MODE_REQUIRED),
            ("auto", (), [], chat.ToolChoice.MODE_AUTO),
        ],
    )
    async def test_only_those(
        self,
        http: httpx2.AsyncClient,
        experts: FakeExperts,
        mode: str,
        names: tuple[str, ...],
        kept: Any,
        expected: Any,
    ) -> None:
        response = await http.post(CHAT, json=asked(tools=[ADD, MUL], tool_choice=self.choice(mode, *names)))
        assert response.status_code == 200, response.text
        conversation = experts["coder"].requests[0].conversation
        assert [tool.name for tool in conversation.tools] == kept
        assert conversation.tool_choice.mode == expected

    @pytest.mark.parametrize(
        ("choice", "param"),
        [
            (("auto", "sub"), "tool_choice.allowed_tools.tools"),
            (("required", "add", "sub"), "tool_choice.allowed_tools.tools"),
            (("required",), "tool_choice"),
            (("sometimes", "add"), None),
        ],
    )
    async def test_others_are_refused(
        self, http: httpx2.AsyncClient, choice: tuple[str, ...], param: str | None
    ) -> None:
        response = await http.post(CHAT, json=asked(tools=[ADD, MUL], tool_choice=self.choice(*choice)))
        assert response.status_code == 400
        assert response.json()["error"]["param"].startswith(param or "tool_choice")


@pytest.mark.parametrize(
    ("choice", "offered", "mode"),
    [
        ({"type": "function", "name": "add"}, ["add", "mul"], chat.ToolChoice.MODE_NAMED),
        (
            {"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "mul"}]},
            ["mul"],
            chat.ToolChoice.MODE_REQUIRED,
        ),
    ],
)
async def test_a_flat_tool_choice_is_taken(
    http: httpx2.AsyncClient, experts: FakeExperts, choice: dict[str, Any], offered: list[str], mode: int
) -> None:
    response = await http.post(CHAT, json=asked(tools=[ADD, MUL], tool_choice=choice))
    assert response.status_code == 200, response.text
    heard = experts["coder"].requests[0].conversation
    assert ([tool.name for tool in heard.tools], heard.tool_choice.mode) == (offered, mode)


async def test_a_tools_name_comes_once(http: httpx2.AsyncClient) -> None:
    error = (await http.post(CHAT, json=asked(tools=[ADD, MUL, ADD]))).json()["error"]
    assert (error["param"], error["code"]) == ("tools[2].function.name", "invalid_value")


async def test_load_generators_say_how_long_an_answer_is(http: httpx2.AsyncClient, experts: FakeExperts) -> None:
    await http.post(CHAT, json=asked(min_tokens=3, ignore_eos=True, max_tokens=9))
    heard = experts["coder"].requests[0].sampling
    assert (heard.min_tokens, heard.ignore_eos) == (3, True)
    error = (await http.post(CHAT, json=asked(min_tokens=10, max_tokens=9))).json()["error"]
    assert error["param"] == "min_tokens"


async def test_too_long_a_prompt_is_told_in_openais_words(http: httpx2.AsyncClient, experts: FakeExperts) -> None:
    details = f"context_length_exceeded: {no_room(8192, 9000)}"
    experts["coder"].refuse = (grpc.StatusCode.INVALID_ARGUMENT, details)
    error = (await http.post(CHAT, json=asked())).json()["error"]
    assert error["code"] == "context_length_exceeded"
    assert error["message"].startswith(
        "This model's maximum context length is 8192 tokens. However, your messages resulted in 9000 tokens."
    )
