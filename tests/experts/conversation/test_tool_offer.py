"""What may be called: how often, and what a step of a plan may refer to."""

import math

from experts.conversation.tool_offer import ToolOffer
from experts.json_schema.conformance import conforms
from experts.json_schema.reduction import reduce_schema
from experts.json_schema.references import MAX_STEPS

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
