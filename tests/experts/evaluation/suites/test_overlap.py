"""ROUGE-L and BLEU, against the paper's examples, a slower way to count, and sacrebleu."""

from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experts.evaluation.suites.overlap import corpus_bleu, rouge_l

WORDS = st.lists(st.sampled_from(["a", "b", "c"]), max_size=6)


def test_rouge_l_is_the_f1_of_the_longest_common_subsequence() -> None:
    # Lin 2004, section 3.1: police killed the gunman / police kill the gunman
    assert rouge_l("police kill the gunman", "police killed the gunman") == pytest.approx(0.75)
    assert rouge_l("the gunman kill police", "police killed the gunman") == pytest.approx(0.5)
    assert rouge_l("same", "Same!") == 1.0
    assert rouge_l("", "something") == 0.0


def test_rouge_l_sees_letters_beyond_ascii() -> None:
    """Google's rouge_score drops them, and finds these two alike in nothing."""
    assert rouge_l("привет мир", "привет") == pytest.approx(2 / 3)


def test_bleu_is_sacrebleus() -> None:
    answers = ["The dog bit the man.", "It wasn't surprising.", "The man had just bitten him."]
    references = ["The dog bit the man.", "It was not surprising.", "The man had bitten the dog."]
    from sacrebleu.metrics.bleu import BLEU

    found = corpus_bleu(answers, references, seed=0)
    assert found.value == pytest.approx(BLEU().corpus_score(answers, [references]).score)
    assert found.low <= found.value <= found.high
    assert found == corpus_bleu(answers, references, seed=0)


@given(WORDS, WORDS)
def test_rouge_l_counts_the_longest_words_in_the_same_order(made: list[str], wanted: list[str]) -> None:
    """By trying every choice of words, the longest first."""
    shared = [
        length
        for length in range(min(len(made), len(wanted)), -1, -1)
        if set(combinations(made, length)) & set(combinations(wanted, length))
    ]
    f1 = 2 * shared[0] / (len(made) + len(wanted)) if made or wanted else 1.0
    assert rouge_l(" ".join(made), " ".join(wanted)) == pytest.approx(f1)


@given(WORDS, WORDS)
def test_rouge_l_is_the_same_both_ways(one: list[str], other: list[str]) -> None:
    assert rouge_l(" ".join(one), " ".join(other)) == pytest.approx(rouge_l(" ".join(other), " ".join(one)))


def test_case_and_marks_are_no_words() -> None:
    assert rouge_l("Yes -- it IS!", "yes, it is") == 1.0


def test_bleu_is_over_the_corpus_and_not_a_mean_of_answers() -> None:
    good, bad = "the cat sat on the mat today", " ".join(["something", "else"] * 15)
    assert corpus_bleu([good] * 3, [good] * 3, seed=0).value == pytest.approx(100.0)
    found = corpus_bleu([good, bad], [good, good], seed=0)
    assert found.n == 2
    assert found.value < 25  # the mean of both would be 50
    assert found.low < found.value < found.high


def test_answers_and_references_are_pairs() -> None:
    with pytest.raises(ValueError, match="zip"):
        corpus_bleu(["a", "b"], ["a"], seed=0)
