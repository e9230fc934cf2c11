"""The sets in force are those of the file as it was last taken up."""

from pathlib import Path

import pytest

from serve.steps.toolsets.file import ToolsetsFileError
from serve.steps.toolsets.in_force import Toolsets

TEXT = "toolsets: [{name: %s, tools: [{name: find}]}]\n"


def test_reading_changes_nothing_before_it_is_taken_up(tmp_path: Path) -> None:
    path = tmp_path / "sets.yaml"
    path.write_text(TEXT % "one")
    sets = Toolsets(path)
    path.write_text(TEXT % "two")
    found = sets.read()
    assert list(sets.current) == ["one"]
    sets.take_up(found)
    assert list(sets.current) == ["two"]


def test_a_file_that_cannot_be_used_is_said_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(ToolsetsFileError):
        Toolsets(tmp_path / "missing.yaml")
