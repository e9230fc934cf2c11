"""Requantising keeps the weights, the shapes and the metadata, and leaves alone what is faithful already."""

from pathlib import Path

import numpy as np
import pytest

from experts.compilation.requantise import is_faithful, requantise

gguf = pytest.importorskip("gguf", reason="needs the [cpu] extra")


def write(path: Path, kind: str, weights: "np.ndarray[tuple[int, int], np.dtype[np.float32]]") -> None:
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(2048)
    writer.add_token_list(["<s>", "héllo", "x"])
    writer.add_chat_template("{{ messages }}")
    writer.add_tensor("norm", np.arange(64, dtype=np.float32))
    wanted = gguf.GGMLQuantizationType[kind]
    writer.add_tensor("matrix", gguf.quantize(weights, wanted), raw_dtype=wanted)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


@pytest.fixture
def weights() -> "np.ndarray[tuple[int, int], np.dtype[np.float32]]":
    return np.random.default_rng(0).normal(0.3, 1.0, (8, 64)).astype(np.float32)


def test_weights_and_metadata_survive(
    tmp_path: Path, weights: "np.ndarray[tuple[int, int], np.dtype[np.float32]]"
) -> None:
    source, target = tmp_path / "q4_1.gguf", tmp_path / "q8_0.gguf"
    write(source, "Q4_1", weights)
    assert not is_faithful(source)
    requantise(source, target)
    assert is_faithful(target)
    before, after = gguf.GGUFReader(source), gguf.GGUFReader(target)
    for old, new in zip(before.tensors, after.tensors, strict=True):
        assert (old.name, list(old.shape)) == (new.name, list(new.shape))
        exact = gguf.dequantize(old.data, old.tensor_type)
        step = np.abs(exact).max() / 127
        assert np.abs(gguf.dequantize(new.data, new.tensor_type) - exact).max() <= step / 2 + 1e-3 * step
    for name in ("llama.context_length", "tokenizer.ggml.tokens", "tokenizer.chat_template"):
        assert after.fields[name].contents() == before.fields[name].contents()
    assert after.fields["general.file_type"].contents() == 7


@pytest.mark.parametrize("kind", ["Q8_0", "F16"])
def test_what_is_faithful_is_seen_as_such(
    tmp_path: Path, kind: str, weights: "np.ndarray[tuple[int, int], np.dtype[np.float32]]"
) -> None:
    write(tmp_path / "model.gguf", kind, weights)
    assert is_faithful(tmp_path / "model.gguf")


def test_what_is_no_gguf_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model.gguf").write_bytes(b"not one at all")
    with pytest.raises(ValueError, match="GGUF"):
        is_faithful(tmp_path / "model.gguf")
