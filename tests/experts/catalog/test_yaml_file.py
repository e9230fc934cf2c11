"""YAML that people write: what it says, where each field stands, and a line for every way in which it can be wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, ValidationError, field_validator

from experts.catalog.yaml_file import MAX_BYTES, Document, YamlError, explain, fields_at, read_yaml, unknown


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("yaml")


def read(folder: Path, text: str | bytes) -> Document:
    path = folder / "file.yaml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return read_yaml(path)


NAMES = st.text("abcdef", min_size=1, max_size=3)
CONTENTS = st.dictionaries(
    NAMES,
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text("xyz \n:#-é", max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
        max_leaves=8,
    ),
)


@given(CONTENTS)
def test_every_field_is_found_on_its_line(folder: Path, content: dict[str, Any]) -> None:
    text = yaml.safe_dump(content, default_flow_style=False, sort_keys=False, allow_unicode=True)
    document = read(folder, text)
    assert document.content == content
    lines = text.splitlines()
    for place, line in document.lines.items():
        assert ("-" if isinstance(place[-1], int) else f"{place[-1]}:") in lines[line - 1]


def test_a_place_has_its_line_or_its_nearest_surroundings(folder: Path) -> None:
    document = read(folder, "a: 1\n\nb:\n  - c: 2\n    d: 3\n  - 4\n")
    assert [document.line(place) for place in (("a",), ("b",), ("b", 0, "d"), ("b", 1))] == [1, 3, 5, 6]
    assert document.line(("b", 0, "d", "none", 7)) == 5
    assert document.line(("b", 9)) == 3
    assert document.line(("none",)) is None
    assert document.where(("b", 1)) == f"{document.path}:6"
    assert document.where(("none",)) == str(document.path)


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n"])
def test_an_empty_file_says_nothing(folder: Path, text: str) -> None:
    assert read(folder, text).content is None


def test_a_byte_order_mark_and_windows_lines_are_read_over(folder: Path) -> None:
    document = read(folder, b"\xef\xbb\xbfa: 1\r\nb: 2\r\n")
    assert (document.content, document.line(("b",))) == ({"a": 1, "b": 2}, 2)


def test_merged_fields_are_no_repetition(folder: Path) -> None:
    document = read(folder, "base: &x {a: 1}\nmine:\n  <<: *x\n  a: 2\n")
    assert document.content["mine"] == {"a": 2}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: [1\nb: 2\n", ":2: not YAML: "),
        ("a: 1\n\tb: 2\n", ":2: not YAML: "),
        ("a: 1\nb:\n  c: 1\n  d: 2\n  c: 3\n", ":5: b.c: it is there twice, first on line 3"),
        ("a:\n- {x: 1, x: 2}\n", ":2: a.0.x: it is there twice, first on line 2"),
        ("a: 1\n---\nb: 2\n", "not YAML: "),
        ("a: !!python/object/apply:os.system ['true']\n", ":1: not YAML: "),
        ("a: *nobody\n", ":1: not YAML: "),
        ("a: \x00\n", "not YAML: "),
        ("a: 2026-13-45\n", "a value cannot be read: "),
        ("[" * 2000 + "]" * 2000, "nested too deep"),
        (b"a: \xff\n", "not a text file in UTF-8"),
        (b"#" * (MAX_BYTES + 1), "larger than 8 MiB"),
    ],
)
def test_what_is_wrong_is_said_in_a_line(folder: Path, text: str | bytes, words: str) -> None:
    with pytest.raises(YamlError) as caught:
        read(folder, text)
    assert str(caught.value).startswith(f"{folder / 'file.yaml'}:")
    assert words in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_aliases_of_aliases_do_not_fill_the_memory(folder: Path) -> None:
    bomb = "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 9))
    with pytest.raises(YamlError, match="aliases stand for too many fields"):
        read(folder, bomb)


@pytest.mark.parametrize(
    ("path", "words"), [("none.yaml", "it does not exist"), (".", "cannot be read: "), ("a\0b", "cannot be read: ")]
)
def test_what_cannot_be_opened_is_said(folder: Path, path: str, words: str) -> None:
    with pytest.raises(YamlError, match=words):
        read_yaml(folder / path)


class Limits(BaseModel):
    model_config = ConfigDict(extra="forbid")

    max_tokens: int = 1
    rate: float = 1.0


class Expert(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: str
    limits: Limits | None = None

    @field_validator("name")
    @classmethod
    def _short(cls, name: str) -> str:
        if len(name) > 3:
            raise ValueError("it is too long")
        return name


class Settings(BaseModel):
    model_config = ConfigDict(extra="forbid")

    experts: list[Expert] = []
    by_key: dict[str, Limits] = {}


def complaints(folder: Path, text: str) -> list[str]:
    document = read(folder, text)
    with pytest.raises(ValidationError) as caught:
        Settings.model_validate(document.content)
    return [document.complaint(mistake, Settings) for mistake in caught.value.errors()]


def test_a_complaint_names_file_line_and_field(folder: Path) -> None:
    told = complaints(
        folder, "experts:\n- name: a\n  limits:\n    max_token: 3\n- name: much\nby_key:\n  k:\n    rate: x\n"
    )
    where = folder / "file.yaml"
    assert told == [
        f"{where}:4: experts.0.limits.max_token: unknown setting `max_token`: did you mean `max_tokens`?",
        f"{where}:5: experts.1.name: it is too long",
        f"{where}:8: by_key.k.rate: Input should be a valid number, unable to parse string as a number",
    ]


def test_a_complaint_about_the_whole_has_no_field(folder: Path) -> None:
    with pytest.raises(ValidationError) as caught:
        Settings.model_validate(3)
    [mistake] = caught.value.errors()
    assert read(folder, "3").complaint(mistake, Settings) == f"{folder / 'file.yaml'}: {explain(mistake, Settings)}"


def test_fields_are_listed_where_they_are() -> None:
    assert fields_at(Settings, ()) == ["by_key", "experts"]
    assert fields_at(Settings, ("experts", 0)) == ["limits", "name"]
    assert fields_at(Settings, ("experts", 0, "limits")) == ["max_tokens", "rate"]
    assert fields_at(Settings, ("by_key", "anything")) == ["max_tokens", "rate"]


@pytest.mark.parametrize(
    ("name", "known", "told"),
    [
        ("Port", ["port", "host"], "unknown setting `Port`: did you mean `port`?"),
        ("zzz", ["port", "host"], "unknown setting `zzz`: there are port, host"),
        ("zzz", [], "unknown setting `zzz`"),
    ],
)
def test_an_unknown_name_is_told_what_there_is(name: str, known: list[str], told: str) -> None:
    assert unknown(name, iter(known)) == told
    assert unknown(name, known, "flag") == told.replace("setting", "flag")
