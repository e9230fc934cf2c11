"""A merged model to compile."""

from pathlib import Path

import pytest

from tests.experts.neuron.fake_compiler import write_merged


@pytest.fixture
def merged(tmp_path: Path) -> Path:
    """A Hugging Face folder."""
    return write_merged(tmp_path / "merged")
