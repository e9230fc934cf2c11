"""The file of tool sets, such as `deploy/toolsets.yaml`: named lists of tools, as clients would send them.

A tool is written flat (`name`, `description`, `parameters`), or as OpenAI's API has it (`type: function`, `function`).
What a request's own tools must keep (`serve.validation.rules`), a set's must keep as well, and when the file is read.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Self

import orjson
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator, model_validator

from experts.catalog.yaml_file import YamlError, read_yaml
from experts.conversation.bounded_json import OutOfBounds, check_bounds
from experts.conversation.request_limits import MAX_OFFERED_TOOLS
from experts.json_schema.arguments import strict_arguments
from experts.json_schema.reduction import SchemaError
from protos import chat_pb2 as chat
from serve.settings.tree import SettingsError


class ToolsetsFileError(SettingsError):
    """The file cannot be used; the message has one line for each mistake."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ListedTool(_Part):
    """A tool."""

    name: str = Field(pattern=r"^[a-zA-Z0-9_.\-]{1,64}$")
    description: str = ""
    parameters: dict[str, Any] | None = None  # JSON Schema of an object; None = it takes nothing
    strict: bool = False

    @field_validator("parameters")
    @classmethod
    def _is_json(cls, parameters: dict[str, Any] | None) -> dict[str, Any] | None:
        """Refuse what YAML has and JSON has not, such as dates, and what no request could hold."""
        try:
            check_bounds(orjson.dumps(parameters or {}, option=orjson.OPT_PASSTHROUGH_DATETIME).decode())
            json.dumps(parameters, allow_nan=False)  # which orjson would make null
        except OutOfBounds as error:
            raise ValueError(str(error)) from None
        except (TypeError, ValueError) as error:
            raise ValueError(f"no JSON: {error}") from None
        return parameters

    @model_validator(mode="after")
    def _can_be_strict(self) -> Self:
        """Refuse a strict tool to whose schema no call can be held."""
        if self.strict:
            try:
                strict_arguments(self._schema)
            except SchemaError as error:
                raise ValueError(f"parameters: {error}") from None
        return self

    @property
    def _schema(self) -> str:
        return "" if self.parameters is None else orjson.dumps(self.parameters).decode()

    def to_tool(self) -> chat.Tool:
        """Return it as a conversation has it."""
        return chat.Tool(name=self.name, description=self.description, parameters_json=self._schema, strict=self.strict)


def _flat(value: object) -> object:
    """Read a tool in OpenAI's form."""
    if isinstance(value, Mapping) and value.get("type") == "function" and set(value) == {"type", "function"}:
        return value["function"]
    return value


class Toolset(_Part):
    """One set."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")
    description: str = ""  # for people
    tools: tuple[Annotated[ListedTool, BeforeValidator(_flat)], ...] = Field(max_length=MAX_OFFERED_TOOLS)

    @model_validator(mode="after")
    def _names_are_unique(self) -> Self:
        names = [tool.name for tool in self.tools]
        if not names:
            raise ValueError("tools: list one at least")
        if len(set(names)) < len(names):
            raise ValueError("a tool's name is there twice")
        return self


class ToolsetsFile(_Part):
    """The whole file."""

    toolsets: tuple[Toolset, ...] = Field(max_length=1000)

    @model_validator(mode="after")
    def _names_are_unique(self) -> Self:
        names = [one.name for one in self.toolsets]
        if len(set(names)) < len(names):
            raise ValueError("a toolset's name is there twice")
        return self


def read_toolsets(path: Path) -> Mapping[str, tuple[chat.Tool, ...]]:
    """Read a file: the tools of each set, by its name.

    Raises:
        ToolsetsFileError: it cannot be read, or something in it is wrong.
    """
    try:
        document = read_yaml(path)
        found = ToolsetsFile.model_validate(document.content or {})
    except YamlError as error:
        raise ToolsetsFileError(str(error)) from None
    except ValidationError as error:
        lines = [document.complaint(mistake, ToolsetsFile) for mistake in error.errors()]
        raise ToolsetsFileError("\n".join(lines)) from None
    return {one.name: tuple(tool.to_tool() for tool in one.tools) for one in found.toolsets}
