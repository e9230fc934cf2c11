"""The file of tool sets: what it may say, and how its mistakes are told."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest
import yaml

from serve.steps.toolsets.file import ToolsetsFileError, read_toolsets

SHIPPED = Path(__file__).parents[4] / "deploy" / "toolsets.yaml"
FIND = {"name": "find", "description": "Find things", "parameters": {"type": "object", "properties": {"q": {}}}}


def write(path: Path, *sets: object) -> Path:
    path.write_text(yaml.safe_dump({"toolsets": list(sets)}), "utf-8")
    return path


def test_the_example_that_ships_is_right() -> None:
    found = read_toolsets(SHIPPED)
    assert {name: len(tools) for name, tools in found.items()} == {"crm": 3, "calendar": 2}
    assert orjson.loads(found["crm"][1].parameters_json)["required"] == ["customer_id"]


def test_a_tool_is_written_flat_or_as_openai_has_it(tmp_path: Path) -> None:
    wrapped = {"type": "function", "function": {**FIND, "name": "other", "strict": True}}
    [one, other] = read_toolsets(write(tmp_path / "sets.yaml", {"name": "a", "tools": [FIND, wrapped]}))["a"]
    assert (one.name, one.description, one.strict) == ("find", "Find things", False)
    assert (other.name, other.strict) == ("other", True)
    assert one.parameters_json == other.parameters_json
    assert orjson.loads(one.parameters_json) == FIND["parameters"]


@pytest.mark.parametrize(
    ("tools", "complaint"),
    [
        ([], "tools"),
        ([{"name": "two words"}], "tools.0.name"),
        ([FIND, FIND], "a tool's name is there twice"),
        ([{**FIND, "schema": {}}], "tools.0.schema"),
        ([{"name": "f", "parameters": [1]}], "tools.0.parameters"),
        ([{"name": "f", "strict": "maybe"}], "tools.0.strict"),
        ([{"name": "f", "parameters": {"$ref": "#/$defs/Nope"}, "strict": True}], "#: a $ref points nowhere"),
    ],
)
def test_a_mistake_names_the_line_and_the_field(tools: list[object], complaint: str, tmp_path: Path) -> None:
    path = write(tmp_path / "sets.yaml", {"name": "a", "tools": tools})
    with pytest.raises(ToolsetsFileError) as caught:
        read_toolsets(path)
    assert str(caught.value).startswith(f"{path}:")
    assert complaint in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("value", ["!!set {x}", "!!binary aGk=", "2026-12-24", "2026-12-24 18:00:00", ".nan", ".inf"])
def test_what_yaml_has_and_json_has_not_is_refused(value: str, tmp_path: Path) -> None:
    path = tmp_path / "sets.yaml"
    path.write_text(f"toolsets:\n  - name: a\n    tools:\n      - {{name: f, parameters: {{default: {value}}}}}\n")
    with pytest.raises(ToolsetsFileError, match="no JSON"):
        read_toolsets(path)


@pytest.mark.parametrize("content", ["", "[]", "toolsets: 3", "toolsets: [{name: a}]", "x: 1\ntoolsets: []", "{"])
def test_a_file_of_another_shape_is_refused(content: str, tmp_path: Path) -> None:
    path = tmp_path / "sets.yaml"
    path.write_text(content)
    with pytest.raises(ToolsetsFileError, match=str(path)):
        read_toolsets(path)


def test_two_sets_of_one_name_are_refused(tmp_path: Path) -> None:
    twice = {"name": "a", "tools": [FIND]}
    with pytest.raises(ToolsetsFileError, match="a toolset's name is there twice"):
        read_toolsets(write(tmp_path / "sets.yaml", twice, twice))
