"""Python functions as tools: what the server is told of them, and how they are called."""

import asyncio
import contextlib
import contextvars
import inspect
import re
import threading
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

MAX_ERROR_CHARS: Final = 500
_TYPES: Final[Mapping[Any, str]] = {str: "string", int: "integer", float: "number", bool: "boolean", dict: "object"}


_NAME: Final = re.compile(r"[a-zA-Z0-9_.\-]{1,64}")
_NAMED: Final = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


class ToolFailed(Exception):
    """A function raised; the message tells what, for the model, and `__cause__` is the exception itself."""


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
        """Call the function; a plain one in a thread, which nobody waits for if the call is cancelled.

        Raises:
            ToolFailed: the function raised.
        """
        try:
            if inspect.iscoroutinefunction(self.function):
                return await self.function(**arguments)
            value = await _in_thread(lambda: self.function(**arguments))
            return await value if inspect.isawaitable(value) else value
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            raise ToolFailed(_told(error)) from error  # something inside the function was cancelled, not this call
        except ToolFailed:
            raise
        except (Exception, SystemExit) as error:  # the edge of somebody's function
            raise ToolFailed(_told(error)) from error


def tool(function: Callable[..., Any], *, name: str = "", description: str = "") -> Tool:
    """Make a tool of a function: its name, its docstring's first paragraph, and a schema of its annotations.

    Known are `str`, `int`, `float`, `bool`, `dict`, `list[...]`, `Literal[...]` and unions; anything else may be any
    value. A parameter with a default is optional; `*args` and `**kwargs` are left out.

    Raises:
        ValueError: it has no name of its own, or a parameter that cannot be given by name.
    """
    name = name or getattr(function, "__name__", "")
    if not _NAME.fullmatch(name):
        raise ValueError(f"name: {name!r} is no tool's name; give one of 1 to 64 letters, digits, '_', '.' and '-'")
    hints = _hints(function)
    parameters = list(inspect.signature(function).parameters.values())
    for one in parameters:
        if one.kind is one.POSITIONAL_ONLY:
            raise ValueError(f"{name}: the parameter {one.name!r} cannot be given by name")
    named = [one for one in parameters if one.kind in _NAMED]
    schema = {
        "type": "object",
        "properties": {one.name: _schema(hints.get(one.name)) for one in named},
        "required": [one.name for one in named if one.default is one.empty],
    }
    about = description or (inspect.getdoc(function) or "").split("\n\n", maxsplit=1)[0].replace("\n", " ")
    return Tool(name, about, schema, function)


def _hints(function: Callable[..., Any]) -> Mapping[str, Any]:
    """Return the annotations, where they can be read: some name types that are imported for checks alone."""
    try:
        return typing.get_type_hints(function)
    except (NameError, TypeError):
        return {}


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
    future: asyncio.Future[tuple[Any, BaseException | None]] = loop.create_future()
    context = contextvars.copy_context()

    def settle(value: Any, error: BaseException | None) -> None:  # noqa: ANN401
        if not future.done():
            future.set_result((value, error))

    def body() -> None:
        value, error = None, None
        try:
            value = context.run(work)
        except BaseException as raised:  # the edge of somebody's function: `sys.exit()`, too, ends its call alone
            error = raised
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits
            loop.call_soon_threadsafe(settle, value, error)

    threading.Thread(target=body, name="moegate-tool", daemon=True).start()
    value, error = await future
    if error is not None:
        raise ToolFailed(_told(error)) from error
    return value


def _told(error: BaseException) -> str:
    """Write an exception for the model."""
    try:
        said = str(error)
    except Exception:  # the edge of somebody's class
        said = ""
    return f"{type(error).__name__}: {said}"[:MAX_ERROR_CHARS]
