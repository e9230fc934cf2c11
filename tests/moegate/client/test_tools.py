"""Functions as tools."""

import asyncio
import threading
from typing import Any, Literal

from moegate.client.tools import tool


def forecast(city: str, days: int = 3, unit: Literal["C", "F"] = "C", near: list[str] | None = None) -> str:
    """Forecast the weather
    of a city.

    More that no model needs to read.
    """
    return f"{city} {days} {unit} {near}"


def test_a_function_describes_itself() -> None:
    assert tool(forecast).described() == {
        "type": "function",
        "function": {
            "name": "forecast",
            "description": "Forecast the weather of a city.",
            "parameters": {
                "type": "object",
                "properties": {
                    "city": {"type": "string"},
                    "days": {"type": "integer"},
                    "unit": {"enum": ["C", "F"]},
                    "near": {"type": "array", "items": {"type": "string"}},
                },
                "required": ["city"],
            },
        },
    }


def test_other_annotations_may_be_anything() -> None:
    def f(a, b: dict[str, int], c: int | str, d: list, e: object) -> None: ...  # type: ignore[no-untyped-def, type-arg]  # noqa: ANN001

    properties = tool(f, name="g", description="does g").parameters["properties"]
    assert properties == {
        "a": {},
        "b": {"type": "object"},
        "c": {"anyOf": [{"type": "integer"}, {"type": "string"}]},
        "d": {"type": "array"},
        "e": {},
    }


async def test_a_plain_function_has_a_thread_of_its_own() -> None:
    def where() -> str:
        return threading.current_thread().name

    async def here() -> str:
        return threading.current_thread().name

    assert await tool(where).call({}) == "moegate-tool"
    assert await tool(here).call({}) == threading.current_thread().name


async def test_a_function_that_nobody_waits_for_any_more_disturbs_nobody() -> None:
    go = threading.Event()

    def slow() -> None:
        go.wait(10)
        raise ValueError

    task = asyncio.create_task(tool(slow).call({}))
    await asyncio.sleep(0.01)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    go.set()
    await asyncio.sleep(0.01)
    assert task.cancelled()


async def test_arguments_go_by_name() -> None:
    found: Any = await tool(forecast).call({"city": "Oslo", "days": 1})
    assert found == "Oslo 1 C None"
