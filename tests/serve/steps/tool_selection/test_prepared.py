"""A set of tools is prepared once, whoever sends it, and the oldest sets go."""

import asyncio
import time
from typing import Any

import pytest

from protos import chat_pb2 as chat
from router.tools.index import ToolIndex
from serve.steps.tool_selection import prepared as module
from serve.steps.tool_selection.prepared import PreparedTools, digest_of


def tools(name: str, count: int = 2) -> list[chat.Tool]:
    return [chat.Tool(name=f"{name}_{n}", description=f"does {name}", parameters_json="{}") for n in range(count)]


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    sizes: list[int] = []
    build = module.build_index

    def counted(texts: Any) -> ToolIndex:
        sizes.append(len(texts))
        return build(texts)

    monkeypatch.setattr(module, "build_index", counted)
    return sizes


async def test_a_set_is_prepared_once(made: list[int]) -> None:
    prepared = PreparedTools(100)
    one, other = await asyncio.gather(prepared.get(tools("a")), prepared.get(tools("a")))
    assert one is other is await prepared.get(tools("a"))
    assert made == [2]


async def test_the_oldest_go(made: list[int]) -> None:
    prepared = PreparedTools(5)
    for name in ("a", "b", "a", "c"):
        await prepared.get(tools(name))
    assert len(prepared) == 2
    await prepared.get(tools("a"))
    assert made == [2, 2, 2]  # "b" went, for "a" was asked for again
    await prepared.get(tools("large", 40))
    assert len(prepared) == 1


async def test_sets_are_made_one_after_another(monkeypatch: pytest.MonkeyPatch) -> None:
    build, at_work, most = module.build_index, 0, 0

    def counted(texts: Any) -> ToolIndex:
        nonlocal at_work, most
        at_work += 1
        most = max(most, at_work)
        time.sleep(0.01)
        at_work -= 1
        return build(texts)

    monkeypatch.setattr(module, "build_index", counted)
    prepared = PreparedTools(100)
    await asyncio.gather(*(prepared.get(tools(name)) for name in "abcde"))
    assert (most, len(prepared)) == (1, 5)


async def test_a_client_that_leaves_takes_nothing_from_the_others(made: list[int]) -> None:
    prepared = PreparedTools(100)
    first = asyncio.create_task(prepared.get(tools("a")))
    await asyncio.sleep(0)
    second = asyncio.create_task(prepared.get(tools("a")))
    await asyncio.sleep(0)
    first.cancel()
    assert (await second).index.size == 2
    assert made == [2]


def test_sets_are_told_apart() -> None:
    different = [tools("a"), tools("b"), tools("a", 1), list(reversed(tools("a")))]
    different.append([chat.Tool(name="a_0", description="does aa", parameters_json="{}"), tools("a")[1]])
    assert len({digest_of(one) for one in different}) == len(different)
