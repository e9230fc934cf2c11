"""Sampling settings: defaults filled in, caps applied, every bad value refused."""

import math

import pytest

from experts.catalog.prices import Price, UsdPerMillion
from experts.catalog.spec import ExpertSpec, SamplingDefaults
from experts.conversation.sampling import resolve_sampling
from experts.engine import InvalidRequest, Sampling
from protos.chat_pb2 import Sampling as Asked

SPEC = ExpertSpec(
    name="e",
    description="d",
    base="pypi:x",
    context_window=100,
    licence="MIT",
    price=Price(usd_per_million=UsdPerMillion(prompt=1, completion=1)),
    sampling=SamplingDefaults(max_tokens=40, temperature=0.5, top_p=0.75),
    max_tokens_cap=50,
)


def test_unset_fields_take_the_experts_defaults() -> None:
    assert resolve_sampling(Asked(), SPEC) == Sampling(max_tokens=40, temperature=0.5, top_p=0.75)


def test_set_fields_win_even_when_they_are_zero() -> None:
    asked = Asked(max_tokens=7, temperature=0, top_p=1, seed=0, stop=["x"], frequency_penalty=-2, presence_penalty=2)
    assert resolve_sampling(asked, SPEC) == Sampling(7, 0.0, 1.0, 0, ("x",), -2.0, 2.0)


def test_an_answer_held_to_a_form_takes_the_likeliest_values_unless_a_temperature_is_asked_for() -> None:
    assert resolve_sampling(Asked(), SPEC, is_exact=True).temperature == 0
    assert resolve_sampling(Asked(top_p=0.5, seed=3), SPEC, is_exact=True).temperature == 0
    assert resolve_sampling(Asked(temperature=1), SPEC, is_exact=True).temperature == 1
    assert resolve_sampling(Asked(temperature=0), SPEC, is_exact=True).temperature == 0


def test_an_experts_own_penalty_holds_unless_the_request_says_otherwise() -> None:
    spec = SPEC.model_copy(update={"sampling": SamplingDefaults(frequency_penalty=0.1)})
    assert resolve_sampling(Asked(), spec).frequency_penalty == 0.1
    assert resolve_sampling(Asked(frequency_penalty=0), spec).frequency_penalty == 0


def test_an_engine_that_honours_no_penalty_gets_none() -> None:
    changes = {"sampling": SamplingDefaults(frequency_penalty=0.1), "engine": "neuron"}
    assert resolve_sampling(Asked(), SPEC.model_copy(update=changes)).frequency_penalty == 0


def test_the_cap_holds() -> None:
    assert resolve_sampling(Asked(max_tokens=99), SPEC).max_tokens == 50
    assert resolve_sampling(Asked(max_tokens=99), SPEC.model_copy(update={"max_tokens_cap": None})).max_tokens == 99


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        (Asked(max_tokens=0), "max_tokens"),
        (Asked(temperature=2.5), "temperature"),
        (Asked(temperature=math.nan), "temperature"),
        (Asked(top_p=0), "top_p"),
        (Asked(top_p=1.5), "top_p"),
        (Asked(frequency_penalty=-3), "frequency_penalty"),
        (Asked(presence_penalty=math.inf), "presence_penalty"),
        (Asked(stop=["a"] * 5), "stop"),
        (Asked(stop=["a", ""]), "stop"),
        (Asked(logprobs=True, top_logprobs=1), "top_logprobs"),  # OpenVINO tells the chosen token's alone
        (Asked(logit_bias={1: 1.0}), "logit_bias"),
    ],
)
def test_bad_values_are_refused_by_name(asked: Asked, field: str) -> None:
    with pytest.raises(InvalidRequest, match=field):
        resolve_sampling(asked, SPEC)


UPSTREAM = SPEC.model_copy(update={"engine": "upstream"})


def test_what_is_asked_about_tokens_goes_to_an_engine_that_tells_it() -> None:
    asked = Asked(logprobs=True, top_logprobs=2, logit_bias={9: -1.5, 3: 1.0})
    resolved = resolve_sampling(asked, UPSTREAM)
    assert (resolved.logprobs, resolved.top_logprobs, resolved.logit_bias) == (True, 2, ((3, 1.0), (9, -1.5)))
    assert resolve_sampling(Asked(top_logprobs=2), UPSTREAM).top_logprobs == 0


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        (Asked(logprobs=True, top_logprobs=21), "top_logprobs"),
        (Asked(logit_bias={1: 100.5}), "logit_bias"),
        (Asked(logit_bias={1: math.nan}), "logit_bias"),
        (Asked(logit_bias=dict.fromkeys(range(301), 1.0)), "logit_bias"),
        (Asked(min_tokens=3), "min_tokens"),
        (Asked(ignore_eos=True), "ignore_eos"),
    ],
)
def test_so_are_those_that_a_server_cannot_be_sent(asked: Asked, field: str) -> None:
    with pytest.raises(InvalidRequest, match=field):
        resolve_sampling(asked, UPSTREAM)
