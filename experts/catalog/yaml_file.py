"""YAML files that people write, read so that every error can name the file and the line.

`read_yaml` reads the catalogue, the price list, the gateway's settings, the file of API keys, and plans. PyYAML knows a
node's line only while it composes the document, so a `Document` keeps the line of every field beside the content.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml
from pydantic import BaseModel
from pydantic_core import ErrorDetails

MAX_BYTES: Final = 8 * 2**20  # a configuration is a few kilobytes; this is somebody's disk image
_UNKNOWN: Final = "extra_forbidden"

Place = tuple[int | str, ...]
"""Where a field is: keys and list indices from the top."""


class YamlError(ValueError):
    """The file cannot be read as YAML; the message is one line and names the file, and the line where there is one."""


@dataclass(frozen=True, slots=True)
class Document:
    """What a file says.

    Attributes:
        content: as PyYAML's safe loader makes it; None of an empty file.
        lines: the line (from 1) of each field of a mapping and item of a list.
    """

    path: Path
    content: Any
    lines: Mapping[Place, int]

    def where(self, place: Sequence[int | str]) -> str:
        """Return `FILE:LINE` of a field, or of the nearest one around it that the file has."""
        line = self.line(place)
        return f"{self.path}:{line}" if line else str(self.path)

    def complaint(self, mistake: ErrorDetails, model: type[BaseModel]) -> str:
        """Return one line of what pydantic found: `FILE:LINE: field: what`."""
        field = _dotted(mistake["loc"])
        return f"{self.where(mistake['loc'])}: {field + ': ' if field else ''}{explain(mistake, model)}"

    def line(self, place: Sequence[int | str]) -> int | None:
        """Return the line of a field, or of the nearest one around it that the file has."""
        for length in range(len(place), 0, -1):
            if line := self.lines.get(tuple(place[:length])):
                return line
        return None


def read_yaml(path: Path) -> Document:
    """Read one document by PyYAML's safe loader.

    Raises:
        YamlError: the file is missing, is not UTF-8 text, or is not one YAML document.
    """
    text = _read_text(path)
    try:
        loader = yaml.SafeLoader(text)
        node = loader.get_single_node()
        if node is None:
            return Document(path, None, {})
        lines: dict[Place, int] = {}
        _note_lines(node, (), lines, path)
        return Document(path, loader.construct_document(node), lines)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{path}:{mark.line + 1}" if mark else str(path)
        raise YamlError(f"{where}: not YAML: {error.problem or error.context}") from None
    except yaml.YAMLError as error:  # a character that YAML does not have
        raise YamlError(f"{path}: not YAML: {str(error).splitlines()[0]}") from None
    except RecursionError:
        raise YamlError(f"{path}: not YAML that can be used: it is nested too deep") from None
    except (ValueError, OverflowError) as error:  # 2026-13-45, or a number of thousands of digits
        if isinstance(error, YamlError):
            raise
        raise YamlError(f"{path}: a value cannot be read: {error}") from None


def _read_text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise YamlError(f"{path}: cannot be read: it does not exist") from None
    except OSError as error:
        raise YamlError(f"{path}: cannot be read: {error.strerror}") from None
    except ValueError as error:  # a path with a zero byte
        raise YamlError(f"{str(path)!r}: cannot be read: {error}") from None
    if len(raw) > MAX_BYTES:
        raise YamlError(f"{path}: larger than {MAX_BYTES >> 20} MiB, which no configuration is")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise YamlError(f"{path}: not a text file in UTF-8") from None


def _note_lines(node: yaml.Node, place: Place, lines: dict[Place, int], path: Path) -> None:
    """Keep every field's line; refuse a field that is there twice, of which YAML would take the last in silence."""
    if len(lines) > MAX_BYTES // 8:  # aliases of aliases: a short file with billions of fields
        raise YamlError(f"{path}: its aliases stand for too many fields")
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            here = (*place, str(key.value))
            line = key.start_mark.line + 1
            if here in lines and key.value != "<<":
                raise YamlError(f"{path}:{line}: {_dotted(here)}: it is there twice, first on line {lines[here]}")
            lines[here] = line
            _note_lines(value, here, lines, path)
    elif isinstance(node, yaml.SequenceNode):
        for at, item in enumerate(node.value):
            lines[*place, at] = item.start_mark.line + 1
            _note_lines(item, (*place, at), lines, path)


def explain(mistake: ErrorDetails, model: type[BaseModel]) -> str:
    """Say what pydantic found wrong in one field, in plain words; for an unknown field, what may have been meant."""
    place = mistake["loc"]
    if mistake["type"] == _UNKNOWN and place:
        return unknown(str(place[-1]), fields_at(model, place[:-1]))
    return mistake["msg"].removeprefix("Value error, ")


def unknown(name: str, known: Iterable[str], what: str = "setting") -> str:
    """Say that a name is unknown, and which of the known ones is like it."""
    names = list(known)
    close = difflib.get_close_matches(name.lower(), names, n=1, cutoff=0.6)
    hint = f"did you mean `{close[0]}`?" if close else f"there are {', '.join(names)}" if names else ""
    return f"unknown {what} `{name}`" + (f": {hint}" if hint else "")


def fields_at(model: type[BaseModel], place: Sequence[int | str]) -> list[str]:
    """List the fields of the model that lies at a place of another, by the annotations on the way."""
    found: list[Any] = [model]
    for part in place:
        found = [inner for one in found for inner in _step(one, part)]
    return sorted({name for one in found for name in getattr(one, "model_fields", {})})


def _step(model: Any, part: int | str) -> list[Any]:  # noqa: ANN401  # annotations are of any form
    fields = getattr(model, "model_fields", {})
    if isinstance(part, str) and part in fields:
        return _models_in(fields[part].annotation)
    return [model]  # a list's index, or a free name of a mapping: what is in there is already at hand


def _models_in(annotation: Any) -> list[Any]:  # noqa: ANN401  # likewise
    if hasattr(annotation, "model_fields"):
        return [annotation]
    return [inner for one in getattr(annotation, "__args__", ()) for inner in _models_in(one)]


def _dotted(place: Sequence[int | str]) -> str:
    return ".".join(str(part) for part in place)
