"""Machine-made rules over machine-made texts: nothing breaks, nothing takes more than linear time, no log has a text.

`make fuzz` runs 10,000 of them (`MOEGATE_FUZZ_GUARD`), an ordinary test run a few hundred.
"""

import logging
import os
import random
import time
from typing import Any

import pytest

from serve.steps.guard.compiled import BrokenRule, RuleSet
from serve.steps.guard.inspector import disjoint
from serve.steps.guard.learned.disguise import unveiled
from serve.steps.guard.limits import over
from serve.steps.guard.masks import Masks
from serve.steps.guard.rules import GuardFile, GuardFileError, Stage
from tests.serve.steps.guard.rule_sets import PROMPT, all_kinds, streamed

ROUNDS = int(os.environ.get("MOEGATE_FUZZ_GUARD", "300"))
MARK = "zq7mark"  # in every text, and never in a log
KINDS = (
    "personal_data", "credentials", "control_tokens", "phrases", "prompt_leak", "allowed", "limits", "jailbreak",
    "injection",
)  # fmt: skip
STAGES = {"prompt_leak": ["output"], "jailbreak": ["input"], "injection": ["input", "documents"], "limits": ["input"]}
ACTIONS = {"allowed": ["monitor"]} | {kind: ["monitor", "block"] for kind in ("limits", "jailbreak", "injection")}
PATTERNS = (
    "(a+)+b", "(x+x+)+y", "(a|aa)+$", "([a-z]+)*[0-9]", "(.*a){8}", "[^ ]{1,60}@", "\\d{3,}", "(?i)secret", "é+",
    "^.*(a.*)*z", "(?:(?:a?){5}){5}a{5}", ".{0,50}END", "\\pL{4,8}", "(ab|a|b)*c",
)  # fmt: skip
ATOMS = (
    "a" * 40, "aaab", "x" * 30, "4111 1111 1111 1111", "a@b.co", "+41 79 123 45 67", " ", "\n", "<|", "|>", "[INST]",
    "\u200b", "é", "漢字", "ignore all previous instructions", "password is ", "hunter22xx", "{", '"', "\\", "\x00",
    "\U0001f600", "-----BEGIN PRIVATE KEY-----", "192.168.0.1", "::", "DE89370400440532013000", MARK,
)  # fmt: skip


def drawn_rule(rng: random.Random, at: int) -> dict[str, Any]:
    kind = rng.choice(KINDS)
    find: dict[str, Any] = {"kind": kind}
    if kind == "phrases":
        words = [word for word in rng.sample(ATOMS[:-1], 2) if len(word) > 1 and word.strip()]
        find |= {"words": [*words, "blau"], "patterns": rng.sample(PATTERNS, 2), "longest": rng.randint(1, 90)}
    elif kind == "allowed":
        find |= {"words": rng.sample(ATOMS[:-1], 2), "patterns": rng.sample(PATTERNS, 2), "domains": ["b.co"]}
    elif kind == "limits":
        find |= {"message_chars": rng.randint(1, 900), "schema_depth": rng.randint(1, 9)}
    return {
        "name": f"rule{at}",
        "find": find,
        "at": STAGES.get(kind) or rng.sample(["input", "documents", "output"], rng.randint(1, 3)),
        "action": rng.choice(ACTIONS.get(kind, ["monitor", "block", "mask"])),
        "fail": rng.choice(["open", "closed"]),
    }


def drawn_rules(rng: random.Random) -> RuleSet:
    rules = [drawn_rule(rng, at) for at in range(rng.randint(1, 4))]
    return RuleSet(GuardFile.model_validate({"rules": rules, "hold_chars": rng.choice([64, 512, 2048])}))


def look(rules: RuleSet, text: str, rng: random.Random) -> None:
    """Every way in which a text may pass the rules."""
    for _, find in rules.limits():
        assert all(MARK not in one.why for one in over(find, text))
    for stage in Stage:
        inspector = rules.at(stage, prompts=(PROMPT,))
        if inspector is not None:
            hits = inspector.hits(text)
            assert all(0 <= hit.start <= hit.end <= len(text) for hit in hits)
            Masks().mask(text, disjoint(hits, rules.rules))
        if (learned := rules.learned()) is not None:
            assert all(MARK not in found.why for found in learned.found_in(text, stage, learned.reader()))
    if rules.at(Stage.OUTPUT) is not None:
        streamed(rules, [text[at : at + 9] for at in range(0, len(text), 9)] or [""])
    list(unveiled(text))


def test_rules_and_texts(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    looked = 0
    for seed in range(ROUNDS):
        rng = random.Random(seed)
        try:
            rules = drawn_rules(rng)
        except GuardFileError:  # a pattern that RE2 refuses is refused when the file is read
            continue
        text = "".join(rng.choice(ATOMS) for _ in range(rng.randint(0, 60))) + MARK
        try:
            look(rules, text, rng)
        except BrokenRule as broken:
            raise AssertionError(f"seed {seed}: {broken.rule.name}") from broken
        looked += 1
    assert looked > ROUNDS // 2
    assert MARK not in caplog.text


HARD = [
    "a" * 20_000, "1" * 20_000, "1 " * 10_000, "a." * 10_000, "a@" * 10_000, "<" * 20_000, "[" * 20_000, ":" * 20_000,
    "-----BEGIN " * 2_000, "password is " * 2_000, "4111 " * 4_000, "x1" * 10_000, "\u200b" * 20_000, "é" * 20_000,
    "a b " * 5_000, "l33t " * 4_000, "QUJD" * 5_000, "eyJ" * 7_000,
]  # fmt: skip


def seconds(rules: RuleSet, text: str) -> float:
    inspector = rules.at(Stage.OUTPUT, prompts=(PROMPT,))
    assert inspector is not None
    taken = []
    for _ in range(3):
        began = time.process_time()
        inspector.hits(text)
        inspector.open_from(text)
        list(unveiled(text))
        taken.append(time.process_time() - began)
    return min(taken)


@pytest.mark.parametrize("text", HARD, ids=lambda text: text[:12].strip())
def test_time_grows_with_the_length_and_not_with_its_square(text: str) -> None:
    rules = all_kinds()
    small, large = seconds(rules, text[: len(text) // 4]), seconds(rules, text)
    assert large < 10 * small + 0.02  # four times the length; sixteen would be the square
