"""The file of rules: the one that ships can be read, and each mistake is told with its line."""

from pathlib import Path

import pytest

from serve.steps.guard.in_force import load_rules
from serve.steps.guard.rules import Action, GuardFileError, read_rules

SHIPPED = Path(__file__).parents[4] / "deploy" / "guard.yaml"


def test_the_one_that_ships_counts_and_changes_nothing() -> None:
    rules = load_rules(SHIPPED)
    assert len(rules.rules) >= 4
    assert {rule.action for rule in rules.rules} == {Action.MONITOR}


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ("{name: a, find: {kind: nothing}, at: [input]}", "kind"),
        ("{name: A, find: {kind: credentials}, at: [input]}", "name"),
        ("{name: a, find: {kind: credentials}, at: []}", "at"),
        ("{name: a, find: {kind: credentials}, at: [nowhere]}", "at"),
        ("{name: a, find: {kind: credentials}, at: [input], action: shout}", "action"),
        ("{name: a, find: {kind: personal_data, entities: [shoe]}, at: [input]}", "entities"),
        ("{name: a, find: {kind: phrases}, at: [input]}", "list words or patterns"),
        ("{name: a, find: {kind: phrases, words: [ab], longest: true}, at: [input]}", "longest"),
        ("{name: a, find: {kind: credentials}, at: [input], experts: [coder]}", "routing"),
        ("{name: a, find: {kind: credentials}, at: [output], action: mask, restore: true}", "restored"),
        ("{name: a, find: {kind: prompt_leak}, at: [input]}", "output"),
        ("{name: a, find: {kind: credentials}, at: [input], colour: blue}", "colour"),
    ],
)
def test_a_mistake_is_told_with_its_place(tmp_path: Path, rule: str, said: str) -> None:
    path = tmp_path / "guard.yaml"
    path.write_text(f"rules:\n  - {{name: fine, find: {{kind: credentials}}, at: [input]}}\n  - {rule}\n")
    with pytest.raises(GuardFileError) as caught:
        read_rules(path)
    assert f"{path}:3" in str(caught.value)
    assert said in str(caught.value)


def test_a_name_that_is_there_twice_is_a_mistake(tmp_path: Path) -> None:
    path = tmp_path / "guard.yaml"
    path.write_text("rules:\n" + "  - {name: a, find: {kind: credentials}, at: [input]}\n" * 2)
    with pytest.raises(GuardFileError, match="twice"):
        read_rules(path)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(GuardFileError, match=r"guard\.yaml"):
        read_rules(tmp_path / "guard.yaml")
