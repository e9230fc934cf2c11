"""The engine through the library's own forward code: padding, reordering, cutting, all real; only the graph is ours.

`NxDModelForCausalLM.forward` and `NxDDecoderWrapperForCausalLM` are cut out of the installed files and run on CPU
tensors. Behind them stands a graph of static shape that keeps a cache as `KVCacheManager` does: the context graph
writes one row from its start, the decode graph writes every row at its position, padded rows included.
"""

from types import SimpleNamespace
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from experts.engine import Completion, GenerationInput, Sampling  # noqa: E402
from experts.engines.batch import Batch  # noqa: E402
from experts.engines.neuron import Draw, NeuronPipeline  # noqa: E402
from experts.engines.neuron_model import NeuronModel  # noqa: E402
from experts.engines.wire import Abort, Submit  # noqa: E402
from experts.neuron.shapes import Shapes  # noqa: E402
from tests.experts.neuron.fake_model import GARBAGE, FakeTokenizer, answer, next_token  # noqa: E402
from tests.neuron.installed import run_definition  # noqa: E402

DECODER = "models/inference/backend/modules/decoder"
SAMPLER = "models/inference/backend/modules/generation/sampling.py"
CONTEXT, DECODE = "context_encoding_model", "token_generation_model"
SHAPES = Shapes(batch_size=4, sequence_length=48, prompt_bucket=16, cores=2)
GREEDY = Draw(1, 1.0, 1.0)


class Graph:
    """The traced model: refuses what is not of its static shapes."""

    def __init__(self, shapes: Shapes) -> None:
        self.shapes = shapes
        self.rows = [[GARBAGE] * shapes.sequence_length for _ in range(shapes.batch_size)]
        self.steps: list[str] = []

    def __call__(self, input_ids: Any, position_ids: Any, seq_ids: Any, sampling_params: Any) -> Any:
        shapes = self.shapes
        rows, length = input_ids.shape
        assert position_ids.shape == (rows, length)
        assert (seq_ids.shape, sampling_params.shape) == ((rows,), (rows, 3))
        assert (input_ids.dtype, seq_ids.dtype, sampling_params.dtype) == (torch.int32, torch.int32, torch.float32)
        if length == shapes.prompt_bucket:
            assert rows == 1
            return self._encode(input_ids[0].tolist(), position_ids[0], int(seq_ids[0]))
        assert (rows, length, seq_ids.tolist()) == (shapes.batch_size, 1, list(range(shapes.batch_size)))
        return self._decode(input_ids[:, 0].tolist(), position_ids[:, 0].tolist())

    def _encode(self, tokens: list[int], positions: Any, row: int) -> Any:
        self.steps.append(f"encode {row}")
        last = int(torch.max(positions, dim=0).indices)
        self.rows[row][: len(tokens)] = tokens
        return torch.tensor([next_token(tokens[: last + 1])])

    def _decode(self, tokens: list[int], positions: list[int]) -> Any:
        self.steps.append("decode")
        made = []
        for row, (token, position) in enumerate(zip(tokens, positions, strict=True)):
            self.rows[row][position] = token
            made.append(next_token(self.rows[row][: position + 1]))
        return torch.tensor(made)


def loaded(shapes: Shapes) -> tuple[NeuronModel, Graph]:
    """Our adapter around the library's forward code around our graph."""
    import logging

    graph = Graph(shapes)
    wrapper = run_definition(
        f"{DECODER}/decoder_wrappers.py",
        "NxDDecoderWrapperForCausalLM",
        NxDModelWrapper=torch.nn.Module,
        torch=torch,
        F=torch.nn.functional,
        logging=logging,
        CONTEXT_ENCODING_MODEL_TAG=CONTEXT,
        TOKEN_GENERATION_MODEL_TAG=DECODE,
    )
    forward = run_definition(
        f"{DECODER}/modeling_decoder.py",
        "NxDModelForCausalLM.forward",
        validate_sampling_params=run_definition(SAMPLER, "validate_sampling_params", torch=torch),
    )
    model = SimpleNamespace(neuron_config=_config(shapes, shapes.batch_size))
    for tag, batch in ((CONTEXT, 1), (DECODE, shapes.batch_size)):
        setattr(model, tag, wrapper(SimpleNamespace(pad_token_id=0), _config(shapes, batch), graph, tag))
    adapter = NeuronModel.__new__(NeuronModel)
    adapter._torch = torch
    adapter._model = type(
        "Loaded", (), {"neuron_config": model.neuron_config, "__call__": lambda _, **kw: forward(model, **kw)}
    )()
    return adapter, graph


def _config(shapes: Shapes, batch_size: int) -> SimpleNamespace:
    return SimpleNamespace(
        batch_size=batch_size,
        max_batch_size=shapes.batch_size,
        max_context_length=shapes.prompt_bucket,
        continuous_batching=True,
        on_device_sampling=True,
        speculation_length=0,
        max_topk=256,
        torch_dtype=torch.bfloat16,
    )


def run(prompts: list[tuple[str, int]], aborted: int | None = None) -> list[str]:
    adapter, _ = loaded(SHAPES)
    batch = Batch(
        NeuronPipeline(adapter, FakeTokenizer(), SHAPES), SHAPES.batch_size, SHAPES.sequence_length, lambda: 0.0
    )
    texts = ["" for _ in prompts]
    events = []
    for number, (text, most) in enumerate(prompts):
        events += batch.handle(Submit(number, GenerationInput(text, Sampling(most)), 0.0))
        events += batch.step()
    if aborted is not None:
        batch.handle(Abort(aborted))
    while not batch.is_idle:
        events += batch.step()
    for number, progress in events:
        texts[number] += getattr(progress.tail if isinstance(progress, Completion) else progress, "text", "")
    return texts


def test_a_full_batch_answers_as_each_would_alone() -> None:
    prompts = [
        ("first prompt", 12),
        ("second", 20),
        ("a third one", 5),
        ("four", 9),
        ("five is late", 14),
        ("s", 7),
        ("77", 8),
    ]
    assert run(prompts) == [answer(*prompt) for prompt in prompts]


def test_an_abort_disturbs_nobody() -> None:
    prompts = [("first prompt", 25), ("second", 25), ("a third one", 25), ("four", 25), ("five is late", 14)]
    texts = run(prompts, aborted=1)
    assert [texts[i] for i in (0, 2, 3, 4)] == [answer(*prompts[i]) for i in (0, 2, 3, 4)]


def test_a_prompt_beyond_the_bucket_would_be_cut_without_a_word() -> None:
    """Why the engine refuses it: the library answers the first tokens of the prompt as if they were all."""
    adapter, graph = loaded(SHAPES)
    long = list(range(1, 25))
    adapter.encode(0, long, GREEDY)
    assert graph.rows[0][:17] == [*long[:16], GARBAGE]


def test_a_live_row_that_a_decode_step_leaves_out_is_overwritten() -> None:
    """Why every live sequence is in every step."""
    adapter, graph = loaded(SHAPES)
    adapter.encode(0, [1, 2, 3, 4], GREEDY)
    adapter.encode(1, [5, 6, 7, 8], GREEDY)
    adapter.decode([0], [9], [2], [GREEDY])
    assert graph.rows[1][:4] == [5, 6, 9, 8]


def test_a_prompt_of_two_tokens_is_answered_from_padding() -> None:
    """Why prompts below three tokens are decoded: padded positions are 1, as the second token's is."""
    adapter, graph = loaded(SHAPES)
    [made] = [adapter.encode(0, [40], GREEDY)]
    assert graph.steps == ["decode"]  # one token goes to the decode graph, whoever else is in the cache
    assert made == next_token([40])


@pytest.mark.parametrize("draw", [Draw(0, 1.0, 1.0), Draw(257, 1.0, 1.0), Draw(1, 0.0, 1.0), Draw(1, 1.0, 0.0)])
def test_the_sampler_s_ranges_are_those_that_the_engine_keeps_to(draw: Draw) -> None:
    adapter, _ = loaded(SHAPES)
    with pytest.raises(ValueError, match="Invalid"):
        adapter.encode(0, [1, 2, 3], draw)
