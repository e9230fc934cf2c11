"""What graphs are compiled for is what the catalogue says, or the start is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from experts.engines.factory import UnsupportedEngine, check_engine
from experts.neuron.shapes import DTYPE_BYTES, Shapes, ShapesWrong, shapes_of
from tests.experts.neuron.entries import neuron_spec

SHAPES = Shapes(batch_size=4, sequence_length=4096, prompt_bucket=3072, cores=2)


def test_shapes_are_the_entry_s_own_words() -> None:
    assert shapes_of(neuron_spec()) == SHAPES
    assert shapes_of(neuron_spec(max_prompt_tokens=None)).prompt_bucket == 4096


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"resources": {"custom": {}}}, "neuron_cores must be a whole number"),
        ({"resources": {"custom": {"neuron_cores": 1.5}}}, "neuron_cores must be a whole number"),
        ({"max_batch_size": 1}, "max_batch_size must be 2 or more"),
    ],
)
def test_shapes_that_cannot_be_compiled_stop_the_start(fields: dict[str, object], message: str) -> None:
    with pytest.raises(ShapesWrong, match=message):
        shapes_of(neuron_spec(**fields))
    with pytest.raises(UnsupportedEngine, match=message):
        check_engine(neuron_spec(**fields))


def test_an_unknown_option_stops_the_start() -> None:
    with pytest.raises(UnsupportedEngine, match="artefact"):
        check_engine(neuron_spec(engine_options={"artifact": "/x", "artefact": "/x"}))


@given(st.integers(2, 64), st.integers(3, 1 << 17), st.integers(1, 64), st.sampled_from(list(DTYPE_BYTES)))
def test_each_shape_comes_of_its_own_field(batch: int, window: int, cores: int, dtype: str) -> None:
    spec = neuron_spec(
        max_batch_size=batch,
        context_window=window,
        max_prompt_tokens=window - 1,
        resources={"custom": {"neuron_cores": cores}},
        engine_options={"artifact": "/x", "dtype": dtype},
    )
    assert shapes_of(spec) == Shapes(batch, window, window - 1, cores, dtype)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "options", [{}, {"artifact": ""}, {"artifact": "/x", "dtype": "int8"}, {"artifact": "/x", "prefills_per_step": 0}]
)
def test_options_that_mean_nothing_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        shapes_of(neuron_spec(engine_options=options))
