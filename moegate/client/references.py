"""References of one call to the results of earlier ones: `$1`, `${1}`, `$2.field`, `$2.rows[0].name`.

A string that is nothing but a reference stands for the result itself, whatever its type. Inside a longer string its
text is put in. What is evaluated is a path and nothing else: no expression, and of a Python object no attribute but a
dataclass's fields.
"""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Final

from moegate.client.values import as_object, as_text, own

_NAME: Final = r"[A-Za-z_][A-Za-z0-9_]*(?:-[A-Za-z0-9_]+)*"  # what ends in a hyphen is a name and a hyphen
_PATH: Final = rf"(?:\.{_NAME}|\[[0-9]{{1,6}}\])*"
_NUMBER: Final = r"[1-9][0-9]{0,3}"
_NO_PRICE: Final = r"(?![0-9]|\.[0-9]|,[0-9]{3}(?![0-9]))"
_REFERENCE: Final = re.compile(rf"\$(?:\{{(?P<braced>{_NUMBER}{_PATH})\}}|(?P<plain>{_NUMBER}{_NO_PRICE}{_PATH}))")
_STEP: Final = re.compile(rf"\.({_NAME})|\[([0-9]+)\]")
MAX_DEPTH: Final = 64
_SHOWN: Final = 12  # names of fields
_SHOWN_CHARS: Final = 40


class UnresolvedReference(Exception):
    """A result lacks what a reference asks of it; the message says which."""


def references(value: object, depth: int = 0) -> Iterator[int]:
    """Yield the number of each earlier call that is referred to anywhere in a JSON value, also more than once."""
    if depth > MAX_DEPTH:
        return
    if isinstance(value, str):
        for found in _REFERENCE.finditer(value):
            yield int(re.match(r"\d+", _path(found))[0])  # type: ignore[index]  # the pattern begins with digits
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from references(inner, depth + 1)
    elif isinstance(value, Sequence):
        for inner in value:
            yield from references(inner, depth + 1)


def resolve(value: Any, results: Mapping[int, Any], known: Collection[int], depth: int = 0) -> Any:  # noqa: ANN401
    """Return a JSON value with its references replaced.

    Args:
        value: arguments of a call.
        results: what earlier calls returned, by their numbers.
        known: the numbers that are references; any other `$7` is text, such as a price.
        depth: how deep `value` lies; what is deeper than `MAX_DEPTH` stays as it is.

    Raises:
        UnresolvedReference: a result has no such field or entry.
        NotJson: a result cannot be put in.
    """
    if depth > MAX_DEPTH:
        return value
    if isinstance(value, str):
        return _in_text(value, results, known)
    if isinstance(value, Mapping):
        return {key: resolve(inner, results, known, depth + 1) for key, inner in value.items()}
    if isinstance(value, Sequence):
        return [resolve(inner, results, known, depth + 1) for inner in value]
    return value


def _in_text(text: str, results: Mapping[int, Any], known: Collection[int]) -> Any:  # noqa: ANN401
    whole = _REFERENCE.fullmatch(text)
    if whole is not None:
        number = _number(whole)
        return own(_look_up(whole, results)) if number in known else text
    return _REFERENCE.sub(
        lambda found: as_text(_look_up(found, results)) if _number(found) in known else found[0], text
    )


def _path(found: re.Match[str]) -> str:
    return found["braced"] or found["plain"]


def _number(found: re.Match[str]) -> int:
    return int(re.split(r"[.\[]", _path(found), maxsplit=1)[0])


def _look_up(found: re.Match[str], results: Mapping[int, Any]) -> Any:  # noqa: ANN401
    """Walk a reference's path into a result; results that are JSON in a string are read."""
    number = _number(found)
    if number not in results:
        raise UnresolvedReference(f"${number} has no result")
    value = results[number]
    for name, place in _STEP.findall(_path(found)[len(str(number)) :]):
        value = _step(as_object(value), name or place, found[0])
    return value


def _step(value: Any, key: str, reference: str) -> Any:  # noqa: ANN401
    if isinstance(value, Mapping) and key in value:
        return value[key]
    if isinstance(value, Sequence) and not isinstance(value, str | bytes) and key.isdigit() and int(key) < len(value):
        return value[int(key)]
    raise UnresolvedReference(f"{reference}: there is no {key!r}{_beside(value)}")


def _beside(value: object) -> str:
    """Say what there is, so that the model can ask for that."""
    if isinstance(value, Mapping):
        names = ", ".join(repr(str(name)[:_SHOWN_CHARS]) for name in islice(value, _SHOWN))
        return f" among {names}" if names else " in an empty object"
    return f" in a list of {len(value)}" if isinstance(value, list | tuple) else ""
