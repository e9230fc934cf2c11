"""Tasks: which hold together, which tools are near, and names in other manners."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experts.training.recipes.tasks import Task, holds, near_tools, restyle, split_name, styles, tool_name, unlike
from tests.experts.training.recipes.tool_files import tool

ADD = tool("add_two", first_part="integer", b="integer")
GOOD = {"name": "add_two", "arguments": {"first_part": 1, "b": 2}}
_NAMES = st.lists(st.from_regex(r"[a-z]{2,6}", fullmatch=True), min_size=1, max_size=3)


@pytest.mark.parametrize(
    ("tools", "calls", "is_right"),
    [
        ([ADD], [GOOD], True),
        ([ADD], [], True),
        ([ADD], [GOOD, GOOD], True),
        ([], [], False),
        ([ADD, ADD], [GOOD], False),
        ([ADD], [{**GOOD, "name": "add"}], False),
        ([ADD], [GOOD, {**GOOD, "arguments": {"first_part": 1}}], False),
        ([ADD], [{**GOOD, "arguments": {"first_part": "1", "b": 2}}], False),
        ([ADD], [{**GOOD, "arguments": {"first_part": 1, "b": 2, "c": 3}}], False),
        ([{"function": {"name": "now"}}], [{"name": "now", "arguments": {}}], True),
    ],
)
def test_calls_hold_where_their_tools_allow_them(tools: list[Any], calls: list[Any], is_right: bool) -> None:
    assert holds(Task("add", tools, calls)) is is_right


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("getWeather", "get weather"),
        ("get_weather", "get weather"),
        ("GetWeather", "get weather"),
        ("get-weather.now", "get weather now"),
        ("HTTPServer2", "http server 2"),
        ("searchURL", "search url"),
        ("x", "x"),
    ],
)
def test_a_name_in_any_manner_is_its_words(name: str, words: str) -> None:
    assert split_name(name) == words


@given(_NAMES, st.sampled_from(styles()))
def test_another_manner_keeps_the_words(words: list[str], style: Callable[[str], str]) -> None:
    assert split_name(style("_".join(words))) == " ".join(words)


@pytest.mark.parametrize("style", styles())
@pytest.mark.parametrize("name", ["", "_", "日本", "é"])
def test_a_name_without_latin_words_stays(name: str, style: Callable[[str], str]) -> None:
    assert style(name).lower() == name.lower()


def test_the_manners_are_those_that_people_write() -> None:
    assert {style("get_my_mail") for style in styles()} == {"get_my_mail", "getMyMail", "GetMyMail"}


@pytest.mark.parametrize("style", styles())
def test_a_task_in_another_manner_holds_and_says_the_same(style: Callable[[str], str]) -> None:
    task = Task("add", [ADD], [GOOD])
    changed = restyle(task, style)
    assert holds(changed)
    assert list(changed.calls[0]["arguments"].values()) == [1, 2]
    assert tool_name(changed.tools[0]) == style("add_two")
    assert holds(task)
    assert tool_name(ADD) == "add_two"  # what is shared with other tasks is not changed


def test_near_tools_share_words_with_the_request_and_no_name_with_its_own() -> None:
    pool = [tool(f"{word}_{n}") for n in range(5) for word in ("weather", "invoice", "music")]
    near = near_tools("what is the weather", pool, {"weather_0"}, 3, random.Random(0))
    assert {tool_name(one).split("_")[0] for one in near} == {"weather"}
    assert "weather_0" not in {tool_name(one) for one in near}
    assert len(near) == 3


@pytest.mark.parametrize(("size", "count", "found"), [(0, 2, 0), (1, 2, 1), (9, 0, 0), (200, 4, 4)])
def test_no_more_tools_are_drawn_than_there_are_or_than_are_wanted(size: int, count: int, found: int) -> None:
    pool = [tool(f"tool_{n}") for n in range(size)]
    assert len(near_tools("tool", pool, (), count, random.Random(0))) == found


def test_of_tools_with_one_name_one_is_kept() -> None:
    assert [tool_name(one) for one in unlike([ADD, tool("sub"), ADD], {"mul"})] == ["add_two", "sub"]
    assert unlike([ADD], {"add_two"}) == []
