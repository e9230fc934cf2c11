"""What may be called: how often, what a step of a plan may refer to, and what calls lack."""

from __future__ import annotations

import json
import math

from experts.conversation.missing.finder import Missing
from experts.conversation.missing.question import Parameter
from experts.conversation.tool_offer import ToolOffer
from experts.json_schema.conformance import conforms
from experts.json_schema.reduction import reduce_schema
from experts.json_schema.references import MAX_STEPS
from protos import chat_pb2

SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
    "required": ["city"],
}
ASKED = chat_pb2.Conversation(
    tools=[chat_pb2.Tool(name="get", parameters_json=json.dumps(SCHEMA))],
    messages=[chat_pb2.Message(role=chat_pb2.ROLE_USER, content="What is the weather in Oslo?")],
)
TOOL = reduce_schema({"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}, "strict")


def test_how_many_calls_there_may_be() -> None:
    assert ToolOffer({"t": TOOL}).most == math.inf
    assert ToolOffer({"t": TOOL}, at_most_one=True).most == 1
    assert ToolOffer({"t": TOOL}, is_plan=True).most == MAX_STEPS


def test_calls_beside_each_other_follow_the_tools_own_schemas() -> None:
    offer = ToolOffer({"t": TOOL})
    assert offer.at(1) is offer.at(7) is offer.schemas


def test_a_step_may_refer_to_those_before_it_alone() -> None:
    offer = ToolOffer({"t": TOOL}, is_plan=True)
    assert list(offer.at(2)) == ["t"]
    assert len(offer.at(2)) == 1
    for step, reference, is_right in ((1, "$1", False), (2, "$1", True), (2, "$2", False), (3, "$2", True)):
        assert conforms({"n": reference}, offer.at(step)["t"]) is is_right
    assert conforms({"n": 3}, offer.at(3)["t"])
    assert conforms({"n": "$9"}, offer.at(MAX_STEPS + 5)["t"])


def test_calls_leave_as_they_come_where_nobody_asks() -> None:
    offer = ToolOffer({"get": SCHEMA})
    assert offer.may_leave("get", "{") and offer.lacking("get", '{"city": "Rome"}') == []


def test_a_call_waits_until_it_lacks_nothing() -> None:
    offer = ToolOffer({"get": SCHEMA}, missing=Missing(ASKED))
    assert [offer.may_leave("get", text) for text in ("{", '{"city": "Os', '{"city": "Oslo"', '{"city": "Oslo",')] == [
        False,
        False,
        False,
        True,
    ]
    assert offer.lacking("get", '{"city": "Oslo"}') == []
    assert offer.lacking("get", '{"city": "Rome"}') == [Parameter("city", "")]
