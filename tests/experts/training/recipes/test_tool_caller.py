"""The tool-caller's samples: calls that fit their schemas, three outcomes, and nothing that it is measured on."""

from __future__ import annotations

import json
import random
import re
from pathlib import Path
from typing import Any

import pytest

from experts.conversation.constraints import tool_offer
from experts.conversation.prompts import render_turns
from experts.json_schema.conformance import conforms
from experts.training.recipes import tool_caller
from experts.training.recipes.checks import fits_schema
from experts.training.recipes.sample import Sample
from experts.training.recipes.tasks import Task, split_name
from experts.training.recipes.tool_caller import ASKING, NO_TOOL, without_a_value
from tests.experts.training.recipes.rows import asked
from tests.experts.training.recipes.tool_files import tool

_CALL = re.compile(r"<tool_call>(.*?)</tool_call>")
_COLLECTED = (
    "seal",
    "simple_python",
    "parallel",
    "irrelevance",
    "sgd",
    "snips",
    "xsid",
)  # beginnings of the small files
SHOP = tool("find_shop", place="string", when="string")


@pytest.fixture(scope="module", params=range(3))
def made(data: Path, request: pytest.FixtureRequest) -> list[Sample]:
    """Samples of one seed."""
    return tool_caller.samples(data, request.param)


@pytest.fixture(scope="module")
def collected(made: list[Sample]) -> list[Sample]:
    """Those that come from the small files and have tools."""
    return [one for one in made if asked(one).startswith(_COLLECTED) and one.conversation.tools]


def test_forms_of_every_source_are_there(made: list[Sample]) -> None:
    forms = [sample for sample in made if sample.conversation.HasField("response_format")]
    beginnings = {asked(sample).split()[0].rstrip(":") for sample in forms}
    assert {"seal", "simple_python", "sgd", "snips", "xsid"} <= beginnings
    assert not any(sample.conversation.tools for sample in forms)
    for sample in forms:
        assert conforms(json.loads(sample.answer), json.loads(sample.conversation.response_format.schema_json))


def calls(sample: Sample) -> list[dict[str, Any]]:
    return [json.loads(call) for call in _CALL.findall(sample.answer)]


def offered(sample: Sample) -> set[str]:
    """Names of the tools, as words, whatever manner they are written in."""
    return {split_name(one.name) for one in sample.conversation.tools}


def test_what_the_tool_caller_is_measured_on_is_not_learnt(made: list[Sample]) -> None:
    learnt = {asked(sample) for sample in made}
    assert not any(text.startswith("multiple") for text in learnt)
    irrelevant = {text.split(":")[0] for text in learnt if text.startswith("irrelevance")}
    assert irrelevant == {f"irrelevance {n}" for n in (1, 3, 5, 7)}


def test_rows_that_break_their_schemas_or_say_what_nobody_said_are_not_learnt(made: list[Sample]) -> None:
    assert not any("decoy" in asked(sample) for sample in made)


def test_every_call_fits_a_tool_that_is_offered(made: list[Sample]) -> None:
    called = [sample for sample in made if calls(sample) and not sample.conversation.plan]
    assert len(called) > 200
    for sample in called:
        schemas = {one.name: json.loads(one.parameters_json) for one in sample.conversation.tools}
        assert len(schemas) == len(sample.conversation.tools)
        assert all(fits_schema(call["arguments"], schemas[call["name"]]) for call in calls(sample)), asked(sample)


def test_plans_are_asked_for_as_such_and_their_steps_follow_what_the_grammar_holds(made: list[Sample]) -> None:
    plans = [sample for sample in made if sample.conversation.plan]
    assert len(plans) > 300
    for sample in plans:
        [system, _] = render_turns(sample.conversation, "")
        assert "Plan the calls" in system.content
        offer = tool_offer(sample.conversation, is_constrained=True)
        assert offer is not None
        for number, call in enumerate(calls(sample), start=1):
            assert call["id"] == number
            assert conforms(call["arguments"], offer.at(number)[call["name"]]), asked(sample)


def test_what_is_called_was_said(collected: list[Sample]) -> None:
    for sample in collected:
        spoken = " ".join(message.content for message in sample.conversation.messages).lower()
        values = [value for call in calls(sample) for value in call["arguments"].values()]
        assert all(str(value).lower() in spoken for value in values), asked(sample)


def test_all_three_outcomes_occur_in_what_is_collected_and_in_what_is_made(made: list[Sample]) -> None:
    for is_collected in (True, False):
        some = [sample for sample in made if asked(sample).startswith(_COLLECTED) is is_collected]
        called = sum(bool(calls(sample)) for sample in some)
        declined = sum(sample.answer == NO_TOOL for sample in some)
        assert min(called, declined, len(some) - called - declined) > 5


def test_where_no_call_is_learnt_no_right_tool_stands_by(collected: list[Sample]) -> None:
    right = {"seal": "find shop {}", "simple_python": "add simple python {}", "parallel": "add parallel {}"}
    declined = [sample for sample in collected if sample.answer == NO_TOOL]
    for sample in declined:
        kind, number = asked(sample).partition(":")[0].rpartition(" ")[::2]
        assert sample.conversation.tools
        assert kind not in right or right[kind].format(number) not in offered(sample)
    assert any(asked(sample).startswith(tuple(right)) for sample in declined)


def test_a_service_that_is_not_there_is_declined(collected: list[Sample]) -> None:
    for sample in collected:
        found = re.match(r"sgd: (Hotels|Buses|Films)", asked(sample))
        if found:
            is_there = f"find {found[1].lower()}" in offered(sample)
            assert is_there is (sample.answer != NO_TOOL)


def test_who_is_asked_for_what_is_missing_has_not_said_it(collected: list[Sample]) -> None:
    cut = [sample for sample in collected if sample.answer == f"{ASKING} Please tell me the place."]
    assert cut
    for sample in cut:
        assert "Town" not in asked(sample)
        assert any(name.startswith("find shop") for name in offered(sample))


def test_the_turns_before_a_request_are_kept(collected: list[Sample]) -> None:
    asked_back = [sample for sample in collected if sample.answer == f"{ASKING} In which city?"]
    assert asked_back
    assert all(len(sample.conversation.messages) == 3 for sample in asked_back)


def test_requests_come_in_groups_beside_the_same_tools(made: list[Sample]) -> None:
    tools = [str(sample.conversation.tools) for sample in made]
    assert len(tools) > 2 * len(set(tools))


def test_names_are_written_in_several_manners(collected: list[Sample]) -> None:
    names = {one.name for sample in collected for one in sample.conversation.tools}
    manners = (r"(find|add)(_[a-z0-9]+)+", r"(find|add)([A-Z0-9][a-z0-9]*)+", r"(Find|Add)([A-Z0-9][a-z0-9]*)+")
    assert all(any(re.fullmatch(manner, name) for name in names) for manner in manners)


def test_a_value_is_taken_out_and_asked_for() -> None:
    call = {"name": "find_shop", "arguments": {"place": "Oslo", "when": "noon"}}
    task = Task("Look for tea shops near the Oslo today", [SHOP], [call])
    cut = without_a_value(task, random.Random(0))
    assert cut is not None
    assert (cut.text, cut.calls, cut.reply) == ("Look for tea shops today", (), "Please tell me the place.")
    assert cut.tools == task.tools


@pytest.mark.parametrize(
    ("text", "changes"),
    [
        ("Look for shops near Oslo in Oslo", {}),  # said twice
        ("Look for nice shops in Oslo's old town", {}),  # part of a longer name
        ("Look for nice shops in Oslo, Norway", {}),
        ("Oslo has some shops, which", {}),  # no word that goes with it
        ("Shops in Oslo", {}),  # nothing would be left to answer
        ("Look for nice shops in Bergen", {}),  # said in other words
        ("Look for tea shops near Oslo", {"history": [{"role": "user", "content": "Oslo"}]}),
        ("Look for tea shops near Oslo", {"calls": ()}),
        ("Look for tea shops near Oslo", {"tools": ()}),
    ],
)
def test_where_no_clean_request_is_left_nothing_is_taken_out(text: str, changes: dict[str, Any]) -> None:
    call = {"name": "find_shop", "arguments": {"place": "Oslo"}}
    parts: dict[str, Any] = {"tools": [SHOP], "calls": [call], **changes}
    assert without_a_value(Task(text, **parts), random.Random(0)) is None


def test_what_may_be_left_out_is_not_asked_for() -> None:
    optional = tool("find_shop", place="string")
    optional["function"]["parameters"]["required"] = []
    call = {"name": "find_shop", "arguments": {"place": "Oslo"}}
    assert without_a_value(Task("Look for tea shops near Oslo", [optional], [call]), random.Random(0)) is None
