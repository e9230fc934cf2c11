"""The settings' YAML file and environment variables. All mistakes are reported at once, each with its origin.

`serve.settings.tree` and `moegate config check` read through here. A mistake names the setting and where its value came
from: the file and line, the environment variable, or the command line's flag.
"""

import difflib
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, get_args

from pydantic import BaseModel, ValidationError

from experts.catalog.yaml_file import Document, Place, YamlError, explain, fields_at, read_yaml

PREFIX: Final = "MOEGATE_"
DELIMITER: Final = "__"
ELSEWHERE: Final = frozenset(
    {
        "MOEGATE_API_KEY",
        "MOEGATE_CONFIG",
        "MOEGATE_PIPELINE_PARALLEL",
        "MOEGATE_SHIPPED_CACHE",
        "MOEGATE_TENSOR_PARALLEL",
    }
)
FLAGS: Final[Mapping[Place, str]] = {
    ("http", "host"): "--host",
    ("grpc", "host"): "--host",
    ("http", "port"): "--port",
    ("grpc", "port"): "--grpc-port",
    ("workers",): "--workers",
    ("experts", "target"): "--target",
    ("experts", "catalog"): "--catalog",
}
# What Kubernetes puts into a pod's environment for a Service whose name begins with "moegate".
_SERVICE_LINK: Final = re.compile(r"MOEGATE_(\w+_)?(SERVICE_(HOST|PORT\w*)|PORT(_\d+_(TCP|UDP|SCTP)\w*)?)")


@dataclass(frozen=True, slots=True)
class Mistake:
    """One thing that is wrong with the settings."""

    message: str
    setting: str = ""  # dotted; empty where it is the file as a whole
    file: str | None = None
    line: int | None = None
    source: str = ""  # what is not a file: a variable, a flag

    def __str__(self) -> str:
        """All of it on one line."""
        place = f"{self.file}:{self.line}" if self.line else self.file or ""
        setting = f"setting {self.setting}" if self.setting else ""
        return ": ".join(part for part in (place, self.source, setting, self.message) if part)

    def as_dict(self) -> dict[str, Any]:
        """All of it as JSON."""
        return {name: value for name, value in asdict(self).items() if value not in ("", None)}


def read_file(path: Path, model: type[BaseModel]) -> Document:
    """Read the YAML file; relative paths in it become paths from its own folder.

    Raises:
        YamlError: it cannot be read, or holds no mapping.
    """
    document = read_yaml(path)
    content = {} if document.content is None else document.content
    if not isinstance(content, dict):
        raise YamlError(f"{path}: settings are a mapping, as in deploy/gateway.yaml; this is a {_kind(content)}")
    if odd := [key for key in content if not isinstance(key, str)]:
        raise YamlError(f"{path}: settings have names, and {odd[0]!r} is none")
    return Document(path, _rooted(content, model, path.parent), document.lines)


def tell(
    error: ValidationError,
    model: type[BaseModel],
    document: Document | None,
    overrides: Mapping[str, Any],
    environment: Mapping[str, str],
) -> list[Mistake]:
    """Turn pydantic's report into mistakes with their origins, by line."""
    mistakes = []
    for found in error.errors(include_url=False, include_input=False):
        place, message = found["loc"], explain(found, model)
        setting = ".".join(str(part) for part in place)
        if _holds(overrides, place):
            mistakes.append(Mistake(message, setting, source=FLAGS.get(place, "command line")))
        elif variable := _variable(environment, place):
            mistakes.append(Mistake(message, setting, source=f"environment variable {variable}"))
        elif document is not None:
            mistakes.append(Mistake(message, setting, str(document.path), document.line(place)))
        else:
            mistakes.append(Mistake(message, setting))
    return sorted(mistakes, key=lambda mistake: mistake.line or 0)


def unknown_variables(model: type[BaseModel], environment: Mapping[str, str]) -> list[Mistake]:
    """Find variables that match no setting but can only be meant for one.

    Those are names with `__`, which only settings have, and names like a setting's. Others may belong to somebody else.
    """
    return [mistake for name in sorted(environment) if (mistake := _judge(name, model)) is not None]


def unreadable_variables(model: type[BaseModel], environment: Mapping[str, str]) -> list[Mistake]:
    """Find variables that stand for more than one value and are no JSON."""
    return [
        Mistake("not JSON, which a setting of several values is written in", source=f"environment variable {name}")
        for name, value in sorted(environment.items())
        if (parts := _parts(name)) and _is_known(model, parts) and _is_compound(model, parts) and not _is_json(value)
    ]


def _judge(name: str, model: type[BaseModel]) -> Mistake | None:
    parts = _parts(name)
    if not parts or name in ELSEWHERE or _is_known(model, parts):
        return None
    at = next(n for n in range(len(parts)) if not _is_known(model, parts[: n + 1]))
    close = difflib.get_close_matches(parts[at], fields_at(model, parts[:at]), n=1, cutoff=0.6)
    meant = _name((*parts[:at], close[0], *parts[at + 1 :])) if close else ""
    if DELIMITER not in name and (not close or _SERVICE_LINK.fullmatch(name.upper())):
        return None
    hint = f"did you mean {meant}?" if meant else "deploy/gateway.yaml has every setting"
    return Mistake(f"matches no setting: {hint}", source=f"environment variable {name}")


def _parts(name: str) -> tuple[str, ...]:
    """Split a variable's name into a setting's place; empty for a variable that is not ours."""
    upper = name.upper()
    return tuple(upper.removeprefix(PREFIX).lower().split(DELIMITER)) if upper.startswith(PREFIX) else ()


def _name(place: Sequence[str]) -> str:
    return PREFIX + DELIMITER.join(place).upper()


def _is_known(model: type[BaseModel], parts: Sequence[str]) -> bool:
    """Say whether a setting is there; what is below one without fields of its own (a mapping) is free."""
    for at, part in enumerate(parts):
        fields = fields_at(model, parts[:at])
        if not fields:
            return True
        if part not in fields:
            return False
    return bool(parts)


def _is_compound(model: type[BaseModel], parts: Sequence[str]) -> bool:
    """Say whether a setting's value is a mapping or a list."""
    annotation: Any = model
    for part in parts:
        fields = getattr(annotation, "model_fields", {})
        if part not in fields:
            return False
        annotation = fields[part].annotation
    kinds = {getattr(one, "__origin__", one) for one in (annotation, *get_args(annotation))}
    return bool(kinds & {dict, tuple, list}) or hasattr(annotation, "model_fields")


def _is_json(value: str) -> bool:
    try:
        json.loads(value)
    except ValueError:
        return False
    return True


def _holds(tree: Mapping[str, Any], place: Sequence[int | str]) -> bool:
    at: Any = tree
    for part in place:
        if not isinstance(at, Mapping) or part not in at:
            return False
        at = at[part]
    return bool(place)


def _variable(environment: Mapping[str, str], place: Sequence[int | str]) -> str | None:
    """Find the variable that a setting's value came from."""
    names = {name.upper(): name for name in environment}
    parts = [str(part) for part in place]
    for length in range(len(parts), 0, -1):
        if found := names.get(_name(parts[:length])):
            return found
    below = _name(parts) + DELIMITER
    return next((name for upper, name in sorted(names.items()) if upper.startswith(below)), None)


def _rooted(content: Mapping[str, Any], model: type[BaseModel], folder: Path) -> dict[str, Any]:
    """Read relative paths as paths from a folder."""
    rooted = dict(content)
    for name, value in content.items():
        field = model.model_fields.get(name.lower())  # pydantic-settings is easy about capitals
        inner = field.annotation if field is not None else None
        if isinstance(value, Mapping) and isinstance(inner, type) and issubclass(inner, BaseModel):
            rooted[name] = _rooted(value, inner, folder)
        elif isinstance(value, str) and Path in _kinds(inner):
            rooted[name] = str(folder / Path(value).expanduser()) if value else value
    return rooted


def _kinds(annotation: Any) -> Iterator[Any]:  # noqa: ANN401  # annotations are of any form
    yield annotation
    for inner in get_args(annotation):
        yield from _kinds(inner)


def _kind(content: object) -> str:
    return {list: "list", str: "text", bool: "truth value"}.get(type(content), "number or date")


def one_line_each(mistakes: Iterable[Mistake]) -> str:
    """Lay mistakes out for people."""
    return "\n".join(str(mistake) for mistake in mistakes)
