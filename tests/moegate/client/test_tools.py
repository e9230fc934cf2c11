"""Functions as tools."""

import asyncio
import contextvars
import functools
import math
import sys
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

import pytest

if TYPE_CHECKING:
    from decimal import Decimal

from moegate.client.tools import Tool, ToolFailed, tool


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


class Broken(Exception):
    def __str__(self) -> str:
        raise TypeError


def failing(error: BaseException) -> Callable[[], None]:
    def fail() -> None:
        raise error

    return fail


def failing_later(error: BaseException) -> Callable[[], Any]:
    async def fail() -> None:
        raise error

    return fail


@pytest.mark.parametrize("make", [failing, failing_later])
@pytest.mark.parametrize(
    "error",
    [ValueError("why"), SystemExit("why"), asyncio.CancelledError("why"), TimeoutError("why")],
    ids=lambda error: type(error).__name__,
)
async def test_whatever_a_function_raises_is_told(make: Any, error: BaseException) -> None:
    with pytest.raises(ToolFailed, match=f"{type(error).__name__}: why") as caught:
        await asyncio.wait_for(Tool("f", "", {}, make(error)).call({}), 10)
    assert caught.value.__cause__ is not None


@pytest.mark.parametrize(
    "error",
    [StopIteration("why"), KeyboardInterrupt(), GeneratorExit(), Broken()],
    ids=lambda error: type(error).__name__,
)
async def test_what_no_future_can_hold_is_told_too(error: BaseException) -> None:
    with pytest.raises(ToolFailed, match=type(error).__name__):
        await asyncio.wait_for(Tool("f", "", {}, failing(error)).call({}), 10)


async def test_a_command_that_exits_ends_its_call_alone() -> None:
    with pytest.raises(ToolFailed, match="SystemExit: 2"):
        await asyncio.wait_for(Tool("f", "", {}, functools.partial(sys.exit, 2)).call({}), 10)


async def test_a_cancel_of_the_call_is_a_cancel() -> None:
    task = asyncio.create_task(Tool("f", "", {}, asyncio.sleep).call({"delay": 30}))
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


class Later:
    async def __call__(self, n: int) -> int:
        await asyncio.sleep(0)
        return n + 1


async def later(n: int) -> int:
    return await Later()(n)


@pytest.mark.parametrize("function", [later, Later(), functools.partial(later), lambda n: later(n=n)])
async def test_whatever_can_be_awaited_is(function: Any) -> None:
    assert await tool(function, name="f").call({"n": 1}) == 2


SPEAKS = contextvars.ContextVar("SPEAKS", default="nobody")


async def test_a_plain_function_sees_the_callers_context() -> None:
    SPEAKS.set("Ann")
    assert await Tool("f", "", {}, SPEAKS.get).call({}) == "Ann"


def test_any_number_of_arguments_is_left_out() -> None:
    def f(a: int, *args: int, b: str = "", **kwargs: int) -> None: ...

    made = tool(f).parameters
    assert (list(made["properties"]), made["required"]) == (["a", "b"], ["a"])


def test_annotations_that_nobody_can_read_may_be_anything() -> None:
    def f(a: "Decimal", b: int) -> None: ...

    assert tool(f).parameters["properties"] == {"a": {}, "b": {}}


@pytest.mark.parametrize("function", [lambda: 1, functools.partial(forecast), Later()])
def test_a_tool_needs_a_name(function: Any) -> None:
    with pytest.raises(ValueError, match="name: "):
        tool(function)


def test_what_cannot_be_given_by_name_is_refused() -> None:
    with pytest.raises(ValueError, match="sqrt: the parameter"):
        tool(math.sqrt)
