"""The keys' file as `moegate key` changes it: entries come and go, comments and order stay, nothing else is lost."""

import os
from pathlib import Path

import pytest

from serve.access import keys_file
from serve.access.keys import new_key
from serve.settings.access import KeySettings
from serve.settings.tree import SettingsError

COMMENTED = """# who may come in
keys:
  # the first
  - name: alice
    sha256: {a}
    rpm: 60 # enough

  # the second
  - name: bob
    sha256: {b}
# the end
"""


def key(name: str, **limits: float) -> KeySettings:
    return KeySettings.model_validate({"name": name, "sha256": new_key()[1], **limits})


def names(path: Path) -> list[str]:
    return [key.name for key in keys_file.read(path)]


def test_a_file_that_is_not_there_is_made_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "keys.yaml"
    keys_file.add(path, key("alice", rpm=5, usd=1.5))
    keys_file.add(path, key("bob"))
    assert names(path) == ["alice", "bob"]
    assert keys_file.read(path)[0].usd == 1.5
    assert path.stat().st_mode & 0o777 == 0o600
    assert os.listdir(tmp_path) == ["keys.yaml"]


def test_comments_and_order_stay(tmp_path: Path) -> None:
    path = tmp_path / "keys.yaml"
    path.write_text(COMMENTED.format(a="a" * 64, b="b" * 64))
    path.chmod(0o640)
    keys_file.add(path, key("carol"))
    assert names(path) == ["alice", "bob", "carol"]
    keys_file.revoke(path, "alice")
    assert names(path) == ["bob", "carol"]
    text = path.read_text()
    assert "# the second\n  - name: bob" in text
    assert text.startswith("# who may come in\nkeys:\n")
    assert text.endswith("# the end\n")
    assert path.stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("text", ["- {{name: alice, sha256: {a}}}\n", "keys: [{{name: alice, sha256: {a}}}]", "[]"])
def test_other_forms_of_yaml_are_understood(tmp_path: Path, text: str) -> None:
    path = tmp_path / "keys.yaml"
    path.write_text(text.format(a="a" * 64))
    before = names(path)
    keys_file.add(path, key("bob"))
    assert names(path) == [*before, "bob"]
    keys_file.revoke(path, "bob")
    assert names(path) == before


def test_the_last_key_can_go(tmp_path: Path) -> None:
    path = tmp_path / "keys.yaml"
    keys_file.add(path, key("alice"))
    keys_file.revoke(path, "alice")
    assert names(path) == []


def test_what_cannot_be_done_is_said_and_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "keys.yaml"
    keys_file.add(path, key("alice"))
    before = path.read_text()
    with pytest.raises(SettingsError, match="there is a key 'alice' already"):
        keys_file.add(path, key("alice"))
    with pytest.raises(SettingsError, match="there is no key 'bob'; there are alice"):
        keys_file.revoke(path, "bob")
    assert path.read_text() == before
    path.write_text("- name: alice\n")
    with pytest.raises(SettingsError, match="sha256"):
        keys_file.add(path, key("bob"))
    assert path.read_text() == "- name: alice\n"
