"""What an engine cannot take, told from the catalogue."""

import pytest

from experts.catalog.engine_limits import prompt_bucket, refused_settings
from experts.engines.child import capabilities_of
from protos import chat_pb2
from tests.experts.neuron.entries import neuron_spec


@pytest.mark.parametrize(
    ("asked", "refused"),
    [
        ({}, ()),
        ({"temperature": 0.5, "top_p": 0.9, "max_tokens": 5, "stop": ["x"]}, ()),
        ({"frequency_penalty": 0.0, "presence_penalty": 0.0}, ()),
        ({"frequency_penalty": 0.5}, ("frequency_penalty",)),
        ({"seed": 1, "presence_penalty": 1.0}, ("seed", "presence_penalty")),
        ({"seed": 1, "temperature": 0.0}, ()),
        ({"logprobs": True}, ("logprobs",)),
        ({"logprobs": False, "top_logprobs": 0, "logit_bias": {}}, ()),
    ],
)
def test_only_what_would_change_the_answer_is_refused(asked: dict[str, object], refused: tuple[str, ...]) -> None:
    sampling = chat_pb2.Sampling(**asked)  # type: ignore[arg-type]
    assert refused_settings(neuron_spec(), sampling) == refused
    assert refused_settings(neuron_spec(engine="openvino"), sampling) == ()


def test_a_prompt_is_padded_to_its_bucket_and_not_at_all_without_one() -> None:
    assert prompt_bucket(neuron_spec()) == 3072
    assert prompt_bucket(neuron_spec(max_prompt_tokens=None)) == 4096
    assert prompt_bucket(neuron_spec(engine="openvino")) == 0


def test_an_engine_declares_what_it_honours_and_its_longest_prompt() -> None:
    neuron, cpu = capabilities_of(neuron_spec(), "sha"), capabilities_of(neuron_spec(engine="openvino"), "sha")
    assert cpu.sampling - neuron.sampling == {
        *("seed", "frequency_penalty", "presence_penalty", "min_tokens", "ignore_eos", "constraint", "logprobs"),
    }
    assert (neuron.max_batch_size, neuron.context_window, neuron.max_prompt_tokens) == (4, 4096, 3072)


@pytest.mark.parametrize("engine", ["openvino", "echo"])
def test_these_tell_the_chosen_tokens_probability_alone(engine: str) -> None:
    spec = neuron_spec(engine=engine)
    asked = chat_pb2.Sampling(logprobs=True, top_logprobs=2, logit_bias={3: 1.0})
    assert refused_settings(spec, asked) == ("top_logprobs", "logit_bias")
