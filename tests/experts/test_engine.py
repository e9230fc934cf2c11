"""The nouns that cross between engines and those who ask them."""

from __future__ import annotations

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experts import engine
from experts.engine import HEARTBEAT, Completion, EngineError, FinishReason, Sampling, TokenDelta

DELTAS = st.builds(TokenDelta, st.text(max_size=3), st.integers(0, 9), st.integers(0, 9))


ERRORS = [one for one in vars(engine).values() if isinstance(one, type) and issubclass(one, EngineError)]


def test_every_error_has_a_slug_of_its_own_and_stands_in_the_tree() -> None:
    assert len({error.slug for error in ERRORS}) == len(ERRORS) == 8
    assert all(error.__name__ in (engine.__doc__ or "") for error in ERRORS)


@pytest.mark.parametrize("kind", ERRORS)
def test_an_error_survives_the_way_from_the_engine_process(kind: type[EngineError]) -> None:
    back = pickle.loads(pickle.dumps(kind("why")))
    assert (type(back), str(back), back.slug) == (kind, "why", kind.slug)


@given(DELTAS, DELTAS, DELTAS)
def test_deltas_add_up_in_order(one: TokenDelta, two: TokenDelta, three: TokenDelta) -> None:
    whole = one + two + three
    assert whole == one + (two + three)
    assert whole.text == one.text + two.text + three.text
    assert whole.token_count == one.token_count + two.token_count + three.token_count
    assert whole.prompt_tokens == one.prompt_tokens + two.prompt_tokens + three.prompt_tokens


@given(DELTAS)
def test_a_heartbeat_says_nothing(delta: TokenDelta) -> None:
    assert HEARTBEAT + delta == delta + HEARTBEAT == delta


def test_what_is_not_said_is_plain() -> None:
    """Greedy, the whole vocabulary, no penalties, no end but the model's own."""
    assert Sampling(1) == Sampling(1, temperature=0.0, top_p=1.0, seed=None, stop=(), constraint=None)
    assert Completion(FinishReason.STOP, 1, 2, 0, 0, 0).tail == HEARTBEAT
    assert Completion(FinishReason.STOP, 1, 2, 0, 0, 0).attempts == 1
