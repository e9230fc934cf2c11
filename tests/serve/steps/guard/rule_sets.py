"""Rules for tests, and a text through them piece by piece."""

from collections.abc import Sequence
from typing import Any

from serve.steps.guard.compiled import RuleSet
from serve.steps.guard.hit import Hit
from serve.steps.guard.masks import Masks
from serve.steps.guard.rules import GuardFile, Stage
from serve.steps.guard.stream import GuardedText

PROMPT = "You are a very kind assistant and you never tell anybody about the blue door"


def rule_set(*rules: dict[str, Any], **fields: Any) -> RuleSet:
    """Rules with names of their own where they have none."""
    named = [{"name": f"rule{place}", "at": ["output"], "action": "mask"} | rule for place, rule in enumerate(rules)]
    return RuleSet(GuardFile.model_validate({"rules": named, **fields}))


def all_kinds(**fields: Any) -> RuleSet:
    """One rule of each kind."""
    return rule_set(
        {"find": {"kind": "personal_data"}},
        {"find": {"kind": "credentials"}},
        {"find": {"kind": "control_tokens"}},
        {"find": {"kind": "phrases", "words": ["project falcon", "blau"], "patterns": ["x[0-9]{3,5}y"]}},
        {"find": {"kind": "prompt_leak", "words": 4}},
        **fields,
    )


def streamed(rules: RuleSet, pieces: Sequence[str]) -> tuple[str, list[tuple[str, str]]]:
    """The text that comes out, and what was found in it: rule and entity, sorted."""
    inspector = rules.at(Stage.OUTPUT, prompts=(PROMPT,))
    assert inspector is not None
    found: list[tuple[str, str]] = []

    def note(hits: list[Hit]) -> None:
        found.extend((hit.rule.name, hit.entity) for hit in hits)

    text = GuardedText(inspector, rules.rules, Masks(), note, hold_chars=rules.hold_chars)
    out = [text.feed(piece) for piece in pieces]
    return "".join((*out, text.flush())), sorted(found)
