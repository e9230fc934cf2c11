"""A topic out of a few examples: its stated rate holds for questions of the same kind, and others are told apart."""

import numpy as np
import pytest

from router.features.featurize import featurize_turn
from router.model.suspicion import shipped
from router.model.topic import TooFewExamples, Topic, background_of

COOKING = [
    "How long do I boil an egg?", "What goes into a carbonara?", "Can I freeze fresh basil?", "How do I make a roux?",
    "Which flour for sourdough bread?", "How hot should the oven be for roast chicken?", "What can replace buttermilk?",
    "How do I keep rice from sticking?", "Is it safe to reheat mushrooms?", "How do I sharpen a kitchen knife?",
    "What spices are in garam masala?", "How long does stock keep in the fridge?", "How do I poach a pear?",
    "Why did my cake sink in the middle?", "How much salt for pasta water?", "What is a bain-marie?",
    "How do I caramelise onions?", "Which potatoes for mash?", "How do I fillet a fish?",
    "Can I make jam without pectin?",
]  # fmt: skip
ELSEWHERE = [
    "Who won the 1998 World Cup?", "Write a Python function that sorts a list.", "What is the capital of Peru?",
    "Explain photosynthesis.", "Draft a letter to my landlord.", "How does a mortgage work?", "Who painted Guernica?",
    "What is the derivative of x squared?", "Translate good morning into Japanese.", "How do I change a bicycle tyre?",
]  # fmt: skip


def test_the_examples_are_covered_and_most_else_is_not() -> None:
    topic = Topic.of(COOKING, 0.05, shipped().background)
    assert topic.rate == pytest.approx(1 / 21)
    assert all(topic.covers(featurize_turn(one)) for one in COOKING)
    assert (
        sum(topic.covers(featurize_turn(one)) for one in ELSEWHERE) <= 4
    )  # docs/guard.md: about one in six of general prompts
    assert topic.covers(featurize_turn("How do I bake a lemon tart?"))


def test_a_rate_that_so_few_examples_cannot_hold_is_refused() -> None:
    with pytest.raises(TooFewExamples, match="at least 19"):
        Topic.of(COOKING[:10], 0.05, shipped().background)
    with pytest.raises(TooFewExamples):  # the same one again is no example
        Topic.of(["a"] * 40, 0.05, shipped().background)


def test_a_looser_rate_refuses_more() -> None:
    few, many = (Topic.of(COOKING, rate, shipped().background) for rate in (0.05, 0.3))
    assert many.threshold > few.threshold


def test_a_turn_without_known_words_is_about_nothing() -> None:
    topic = Topic.of(COOKING, 0.05, shipped().background)
    assert topic.score(featurize_turn("???")) == 0.0


def test_the_background_has_variance_one() -> None:
    dense = np.stack([featurize_turn(one).dense for one in (*COOKING, *ELSEWHERE)])
    background = background_of(dense, shrinkage=1.0)
    assert background.whitening.shape == (192, 192)
    assert np.allclose(background.whitening, background.whitening.T, atol=1e-3)
