"""How mistakes in settings are told: each with its origin, by line, guessed where it is misspelt."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict, ValidationError

from experts.catalog.yaml_file import YamlError
from serve.settings.file import Mistake, one_line_each, read_file, tell, unknown_variables, unreadable_variables


class Door(BaseModel):
    model_config = ConfigDict(extra="forbid")
    host: str = ""
    port: int = 0
    certificate: Path | None = None


class Tree(BaseModel):
    model_config = ConfigDict(extra="forbid")
    http: Door = Door()
    workers: int = 1
    store: Path | None = None
    fleet: dict[str, float] = {}  # pydantic copies it
    name: str = ""


def mistakes(
    content: dict[str, Any], *, overrides: dict[str, Any] | None = None, environment: dict[str, str] | None = None
) -> list[Mistake]:
    with pytest.raises(ValidationError) as caught:
        Tree.model_validate(content)
    return tell(caught.value, Tree, None, overrides or {}, environment or {})


@pytest.mark.parametrize(
    ("mistake", "said"),
    [
        (Mistake("wrong"), "wrong"),
        (Mistake("wrong", "http.port", "a.yaml", 3), "a.yaml:3: setting http.port: wrong"),
        (Mistake("wrong", "http.port", "a.yaml"), "a.yaml: setting http.port: wrong"),
        (Mistake("wrong", "http.port", source="--port"), "--port: setting http.port: wrong"),
        (Mistake("wrong", source="environment variable X"), "environment variable X: wrong"),
    ],
)
def test_a_mistake_is_one_line_that_begins_with_its_place(mistake: Mistake, said: str) -> None:
    assert str(mistake) == said
    assert one_line_each([mistake, mistake]) == f"{said}\n{said}"


def test_as_json_a_mistake_has_only_what_is_known() -> None:
    assert Mistake("wrong", "workers", source="--workers").as_dict() == {
        "message": "wrong",
        "setting": "workers",
        "source": "--workers",
    }


def test_the_command_line_answers_before_the_environment_and_the_file() -> None:
    wrong = {"http": {"port": "x"}}
    environment = {"MOEGATE_HTTP__PORT": "y"}
    assert [m.source for m in mistakes(wrong, overrides=wrong, environment=environment)] == ["--port"]
    assert [m.source for m in mistakes(wrong, environment=environment)] == ["environment variable MOEGATE_HTTP__PORT"]
    assert [(m.source, m.setting) for m in mistakes(wrong)] == [("", "http.port")]


def test_a_flag_that_is_none_of_the_settings_own_is_the_command_line() -> None:
    assert [m.source for m in mistakes({"name": 1}, overrides={"name": 1})] == ["command line"]


@pytest.mark.parametrize("variable", ["MOEGATE_HTTP", "moegate_http__port", "MOEGATE_HTTP__PORT"])
def test_a_value_comes_from_its_variable_or_from_one_around_it(variable: str) -> None:
    found = mistakes({"http": {"port": "x"}}, environment={variable: "?", "MOEGATE_WORKERS": "2"})
    assert [m.source for m in found] == [f"environment variable {variable}"]


def test_of_two_variables_the_nearer_one_is_named() -> None:
    """It is the one whose value counts."""
    environment = {"MOEGATE_HTTP": '{"port": 1}', "MOEGATE_HTTP__PORT": "x"}
    found = mistakes({"http": {"port": "x"}}, environment=environment)
    assert [m.source for m in found] == ["environment variable MOEGATE_HTTP__PORT"]


def test_mistakes_in_a_file_stand_in_the_order_of_its_lines(tmp_path: Path) -> None:
    path = tmp_path / "gateway.yaml"
    path.write_text("workers: none\nhttp:\n  host: 1\n  prot: 2\n")
    document = read_file(path, Tree)
    with pytest.raises(ValidationError) as caught:
        Tree.model_validate(document.content)
    found = tell(caught.value, Tree, document, {}, {})
    assert [(m.line, m.setting) for m in found] == [(1, "workers"), (3, "http.host"), (4, "http.prot")]
    assert {m.file for m in found} == {str(path)}
    assert "did you mean `port`?" in found[2].message


def test_paths_are_from_the_files_folder_and_other_text_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "gateway.yaml"
    path.write_text("store: data/x\nname: data/x\nhttp: {host: here, certificate: /abs/a.pem}\n")
    assert read_file(path, Tree).content == {
        "store": str(tmp_path / "data/x"),
        "name": "data/x",
        "http": {"host": "here", "certificate": "/abs/a.pem"},
    }


@pytest.mark.parametrize(
    ("text", "kind"), [("[1]", "list"), ("true", "truth value"), ("x", "text"), ("1.5", "number or date")]
)
def test_a_file_that_holds_something_else_says_what(tmp_path: Path, text: str, kind: str) -> None:
    path = tmp_path / "gateway.yaml"
    path.write_text(text)
    with pytest.raises(YamlError, match=f"this is a {kind}"):
        read_file(path, Tree)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("MOEGATE_HTP__PORT", "did you mean MOEGATE_HTTP__PORT?"),
        ("MOEGATE_HTTP__PROT", "did you mean MOEGATE_HTTP__PORT?"),
        ("MOEGATE_WORKER", "did you mean MOEGATE_WORKERS?"),
        ("MOEGATE_ZZZ__ZZZ", "deploy/gateway.yaml has every setting"),
    ],
)
def test_a_variable_that_can_only_be_meant_for_us_is_told(name: str, hint: str) -> None:
    (found,) = unknown_variables(Tree, {name: "1", "MOEGATE_HTTP__PORT": "1"})
    assert hint in found.message
    assert found.source == f"environment variable {name}"


@pytest.mark.parametrize(
    "name", ["PATH", "MOEGATE_ZZZ", "MOEGATE_CONFIG", "MOEGATE_HTTP_SERVICE_HOST", "MOEGATE_FLEET__INF2.XLARGE"]
)
def test_a_variable_that_may_be_somebody_elses_is_not(name: str) -> None:
    assert unknown_variables(Tree, {name: "1"}) == []


@pytest.mark.parametrize(
    ("name", "value", "is_wrong"),
    [
        ("MOEGATE_HTTP", "{", True),
        ("MOEGATE_HTTP", '{"port": 1}', False),
        ("MOEGATE_FLEET", "three", True),
        ("MOEGATE_NAME", "{", False),
        ("MOEGATE_WORKERS", "x", False),  # pydantic's to refuse
        ("OTHER_HTTP", "{", False),
    ],
)
def test_a_setting_of_several_values_is_json(name: str, value: str, is_wrong: bool) -> None:
    found = unreadable_variables(Tree, {name: value})
    assert [m.source for m in found] == ([f"environment variable {name}"] if is_wrong else [])
    assert value not in one_line_each(found) or not is_wrong
