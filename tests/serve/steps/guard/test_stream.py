"""A guarded text: however it is cut, the same is found and the same comes out; little is held back."""

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serve.steps.guard.hit import Hit
from serve.steps.guard.inspector import disjoint
from serve.steps.guard.masks import Masks
from serve.steps.guard.rules import Stage
from serve.steps.guard.stream import GuardedText
from tests.serve.steps.guard.rule_sets import PROMPT, all_kinds, rule_set, streamed
from tests.serve.steps.guard.timers import FakeTimers

RULES = all_kinds()
ATOMS = st.sampled_from(
    [
        "hello", "the ", "call ", " me at ", "Phone:\n", "+41 (0)85 806 98 67", "079 123 45 67",
        "4111 1111 1111 1111", "card ", "4111111111111111", " GB59NAWV77136867049356", "a@b.co",
        "alice.smith@example.com", ".", " ", "\n", "\t", "1", "22", "-", "(", ")", "office", "x123y",
        "project", "falcon", "Blau", "<|im_start|>", "[INST]", "<s>", "<", "[", "password is ",
        "hunter2hunter2", "api_key=", "ghp_" + "a" * 36, "sk-" + "b9" * 12, "192.168.1.7", "fe80::1",
        "you are a very", " kind", "assistant", " and you never", "\u200b", "＠", "４１１１", "é", "e\u0301",
        "漢字", "123-45-6789", "x", "v1.2.3.4", " Fax", "-----BEGIN PRIVATE KEY-----\nabc\n",
        "-----END PRIVATE KEY-----",
    ]
)  # fmt: skip
TEXTS = st.lists(ATOMS, max_size=14).map("".join)


@given(TEXTS, st.lists(st.integers(1, 30), max_size=12))
def test_the_same_is_found_and_comes_out_however_a_text_is_cut(text: str, lengths: list[int]) -> None:
    inspector = RULES.at(Stage.OUTPUT, prompts=(PROMPT,))
    assert inspector is not None
    hits = inspector.hits(text)
    whole = Masks().mask(text, disjoint(hits, RULES.rules)), sorted((hit.rule.name, hit.entity) for hit in hits)
    pieces, place = [], 0
    for length in lengths:
        pieces.append(text[place : place + length])
        place += length
    assert streamed(RULES, [*pieces, text[place:]]) == whole
    assert streamed(RULES, list(text)) == whole


@pytest.mark.parametrize(
    ("text", "out"),
    [
        ("Write to alice@example.com today", "Write to <EMAIL_1> today"),
        ("Call 079 123 45 67 now", "Call <PHONE_1> now"),
        ("It is 4111 1111 1111 1111.", "It is <CARD_1>."),
        ("Use ghp_" + "a" * 36 + " here", "Use <SECRET_1> here"),
        ("About Project\nFALCON we say nothing", "About <PHRASE_1> we say nothing"),
        ("My rules: you are a very kind assistant", "My rules: <SYSTEM_PROMPT_1>"),
        ("a@b.co, then c@d.co, then a@b.co", "<EMAIL_1>, then <EMAIL_2>, then <EMAIL_1>"),
        ("аlice＠exаmple.com", "<EMAIL_1>"),  # Cyrillic а, a wide at sign
        ("al\u200bice@example.com!", "<EMAIL_1>!"),
    ],
)
def test_what_is_found_has_a_name_in_its_place(text: str, out: str) -> None:
    assert streamed(RULES, list(text))[0] == out


def test_a_word_waits_for_its_end_and_no_longer() -> None:
    rules = rule_set({"find": {"kind": "personal_data"}})
    inspector = rules.at(Stage.OUTPUT)
    assert inspector is not None
    text = GuardedText(inspector, rules.rules, Masks(), lambda hits: None, hold_chars=512)
    assert [text.feed(piece) for piece in ("The", " quick", " brown", " fox", "\n")] == [
        "",
        "The ",
        "quick ",
        "brown ",
        "fox\n",
    ]
    assert text.flush() == ""


def test_a_text_without_blanks_is_held_back_within_its_bound() -> None:
    rules = rule_set({"find": {"kind": "personal_data"}}, hold_chars=64)
    inspector = rules.at(Stage.OUTPUT)
    assert inspector is not None
    text, out = GuardedText(inspector, rules.rules, Masks(), lambda hits: None, hold_chars=64), ""
    for number in range(1000):
        out += text.feed("a")
        assert number + 1 - len(out) <= 64
    assert out + text.flush() == "a" * 1000


def test_a_finding_of_one_rule_inside_anothers_is_masked_whole() -> None:
    key = "-----BEGIN PRIVATE KEY-----\n0791234567\n-----END PRIVATE KEY-----"
    rules = rule_set({"find": {"kind": "personal_data"}}, {"find": {"kind": "credentials"}})
    assert streamed(rules, [f"Phone: {key} end"])[0].count("0791234567") == 0


KEY = "-----BEGIN PRIVATE KEY-----\n" + ("Qz7+" * 16 + "\n") * 26 + "-----END PRIVATE KEY-----"


def guarded(*rules: dict[str, Any], hold_chars: int = 512) -> tuple[GuardedText, FakeTimers, list[Hit]]:
    made, timers, found = rule_set(*rules, hold_chars=hold_chars), FakeTimers(), list[Hit]()
    inspector = made.at(Stage.OUTPUT, prompts=(PROMPT,))
    assert inspector is not None
    text = GuardedText(inspector, made.rules, Masks(), found.extend, hold_chars=hold_chars, clock=timers.time)
    return text, timers, found


@pytest.mark.parametrize("size", [1, 7, 100])
def test_a_secret_that_is_longer_than_what_may_be_held_is_masked_to_its_end(size: int) -> None:
    text, _, found = guarded({"find": {"kind": "credentials"}}, hold_chars=256)
    out = [text.feed(f"It is {KEY}. Bye"[at : at + size]) for at in range(0, len(KEY) + 11, size)]
    assert "".join((*out, text.flush())) == "It is <PRIVATE_KEY_1>. Bye"
    assert len(found) == 1


def test_what_is_held_for_too_long_goes_on_as_far_as_nothing_is_found_in_it() -> None:
    text, timers, found = guarded({"find": {"kind": "personal_data"}})
    assert text.feed("Write to Ada") == "Write to "
    assert text.held_since == 0.0
    timers.pass_s(5.0)
    assert text.release() == "Ada"
    assert text.held_since is None
    assert text.feed(" or bob@example.co") == " or "
    assert text.held_since == 5.0
    assert text.release() == "<EMAIL_1>"
    assert text.feed("m, then") == ", "  # the rest of the address is taken as part of it
    assert text.flush() == "then"
    assert [hit.entity for hit in found] == ["EMAIL"]
    assert text.shifts


def test_the_rest_of_what_a_bound_let_out_is_found_with_its_beginning() -> None:
    text, _, found = guarded({"find": {"kind": "personal_data"}})
    assert text.feed("Phone: 079 123") == "Phone: "
    assert text.release() == "079 123"  # too little to be a number
    assert text.feed(" 45 67, or ") == "<PHONE_1>, or "
    assert [hit.entity for hit in found] == ["PHONE"]


def test_a_rule_that_blocks_does_so_though_the_beginning_is_out() -> None:
    text, _, found = guarded({"find": {"kind": "phrases", "words": ["project falcon"]}, "action": "block"})
    assert text.feed("about project ") == "about "
    assert text.release() == "project "
    assert text.feed("falcon!") == ""
    text.flush()
    assert [hit.rule.action.value for hit in found] == ["block"]


@given(TEXTS, st.lists(st.tuples(st.integers(1, 20), st.booleans()), max_size=12))
def test_whenever_it_is_let_go_nothing_is_lost_or_said_twice(text: str, cuts: list[tuple[int, bool]]) -> None:
    guarded_text, _, _ = guarded({"find": {"kind": "personal_data"}, "action": "monitor"})
    out, at = "", 0
    for length, is_late in cuts:
        out += guarded_text.feed(text[at : at + length])
        at += length
        if is_late:
            out += guarded_text.release()
            assert out == text[:at]
        assert text.startswith(out)
    assert out + guarded_text.feed(text[at:]) + guarded_text.flush() == text


def test_time_for_a_text_without_blanks_grows_with_its_length() -> None:
    def seconds(length: int) -> float:
        text, _, _ = guarded({"find": {"kind": "personal_data"}}, {"find": {"kind": "credentials"}})
        began = time.process_time()
        for _ in range(length):
            text.feed("字")
        text.flush()
        return time.process_time() - began

    small, large = min(seconds(2_000) for _ in range(3)), seconds(8_000)
    assert large < 10 * small + 0.1
