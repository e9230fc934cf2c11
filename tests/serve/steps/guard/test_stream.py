"""A guarded text: however it is cut, the same is found and the same comes out; little is held back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serve.steps.guard.compiled import disjoint
from serve.steps.guard.masks import Masks
from serve.steps.guard.rules import Stage
from serve.steps.guard.stream import GuardedText
from tests.serve.steps.guard.rule_sets import PROMPT, all_kinds, rule_set, streamed

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
