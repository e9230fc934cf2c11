"""Python functions as tools: what the server is told of them, and how they are called."""

import asyncio
import inspect
import threading
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

_TYPES: Final[Mapping[Any, str]] = {str: "string", int: "integer", float: "number", bool: "boolean", dict: "object"}


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool.

    Attributes:
        name: 1 to 64 characters out of letters, digits, `_`, `.` and `-`.
        description: what it does, for the model.
        parameters: JSON Schema of its arguments.
        function: what is called with them by name; `async def` or a plain function, which gets a thread of its own.
    """

    name: str
    description: str
    parameters: Mapping[str, Any]
    function: Callable[..., Any]

    def described(self) -> dict[str, Any]:
        """Return it as a request's `tools` hold it."""
        about = {"name": self.name, "description": self.description, "parameters": dict(self.parameters)}
        return {"type": "function", "function": about}

    async def call(self, arguments: Mapping[str, Any]) -> Any:  # noqa: ANN401  # whatever the function returns
        """Call the function; a plain one in a thread, which nobody waits for if the call is cancelled."""
        if inspect.iscoroutinefunction(self.function):
            return await self.function(**arguments)
        return await _in_thread(lambda: self.function(**arguments))


def tool(function: Callable[..., Any], *, name: str = "", description: str = "") -> Tool:
    """Make a tool of a function: its name, its docstring's first paragraph, and a schema of its annotations.

    Known are `str`, `int`, `float`, `bool`, `dict`, `list[...]`, `Literal[...]` and unions; anything else may be any
    value. A parameter with a default is optional.
    """
    hints = typing.get_type_hints(function)
    parameters = inspect.signature(function).parameters.values()
    schema = {
        "type": "object",
        "properties": {one.name: _schema(hints.get(one.name)) for one in parameters},
        "required": [one.name for one in parameters if one.default is one.empty],
    }
    about = description or (inspect.getdoc(function) or "").split("\n\n", maxsplit=1)[0].replace("\n", " ")
    return Tool(name or function.__name__, about, schema, function)


def _schema(hint: Any) -> dict[str, Any]:  # noqa: ANN401  # annotations have no common type
    """Translate an annotation."""
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin is Literal:
        return {"enum": list(inner)}
    if origin in (typing.Union, types.UnionType):
        parts = [_schema(one) for one in inner if one is not type(None)]
        return parts[0] if len(parts) == 1 else {"anyOf": parts}
    if (origin or hint) is list:
        return {"type": "array", "items": _schema(inner[0])} if inner else {"type": "array"}
    known = _TYPES.get(origin or hint)
    return {"type": known} if known else {}


async def _in_thread(work: Callable[[], Any]) -> Any:  # noqa: ANN401
    """Run blocking work in a thread that keeps no interpreter alive, as those of a pool would."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Any] = loop.create_future()

    def settle(value: Any, error: BaseException | None) -> None:  # noqa: ANN401
        if not future.done():
            future.set_exception(error) if error is not None else future.set_result(value)

    def body() -> None:
        value, error = None, None
        try:
            value = work()
        except Exception as raised:  # the edge of somebody's function: what it raises becomes an observation
            error = raised
        if not loop.is_closed():
            loop.call_soon_threadsafe(settle, value, error)

    threading.Thread(target=body, name="moegate-tool", daemon=True).start()
    return await future
