"""Names for what was found: the same for the same, and back again where a rule says so."""

import pytest

from serve.steps.guard.hit import Hit
from serve.steps.guard.masks import Masks
from serve.steps.guard.rules import Rule

RULE = {"name": "a", "find": {"kind": "personal_data"}, "at": ["input"], "action": "mask"}
PLAIN, BACK = Rule.model_validate(RULE), Rule.model_validate(RULE | {"restore": True})


def test_only_what_may_be_restored_is() -> None:
    masks = Masks()
    assert masks.name(Hit(BACK, "EMAIL", 0, 1), "a@b.co") == "<EMAIL_1>"
    assert masks.name(Hit(PLAIN, "EMAIL", 0, 1), "c@d.co") == "<EMAIL_2>"
    assert masks.name(Hit(BACK, "EMAIL", 0, 1), "a@b.co") == "<EMAIL_1>"
    shifts: list[tuple[int, int]] = []
    restored = masks.restore("<EMAIL_1> <EMAIL_2> <EMAIL_3>", lambda at, by: shifts.append((at, by)))
    assert restored == "a@b.co <EMAIL_2> <EMAIL_3>"
    assert shifts == [(9, -3)]


@pytest.mark.parametrize(
    ("text", "place"),
    [("a <", 2), ("a <EMAIL", 2), ("a <EMAIL_1", 2), ("a <EMAIL_1>", 11), ("a < b", 5), ("1 <2", 4)],
)
def test_a_name_that_has_begun_waits(text: str, place: int) -> None:
    assert Masks.open_from(text) == place
