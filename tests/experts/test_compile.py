"""Preparing experts: idempotent, and what is not there is refused rather than pretended."""

from pathlib import Path

import pytest

from experts.artifacts import ArtifactStore, hash_content
from experts.catalog import ExpertSpec, Price, UsdPerMillion
from experts.compile import CannotCompile, main, prepare_expert

CATALOG = """
default: a
experts:
  - {{name: a, description: d, base: '{base}', context_window: 8, licence: MIT, price: {price}}}
  - {{name: b, description: d, base: '{base}', context_window: 8, licence: MIT, price: {price}, adapter: x}}
"""


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    path = tmp_path / "model.gguf"
    path.write_bytes(b"GGUF")
    price = "{usd_per_million: {prompt: 1, completion: 1}}"
    (tmp_path / "experts.yaml").write_text(CATALOG.format(base=path, price=price))
    return path


def _spec(base: Path, **changes: object) -> ExpertSpec:
    spec = ExpertSpec(
        name="a",
        description="d",
        base=str(base),
        context_window=8,
        licence="MIT",
        price=Price(usd_per_million=UsdPerMillion(prompt=0, completion=0)),
    )
    return spec.model_copy(update=changes)


def test_an_expert_without_an_adapter_is_its_base(weights: Path, tmp_path: Path) -> None:
    artifact = prepare_expert(_spec(weights), "cpu", ArtifactStore(tmp_path / "cache"))
    assert (artifact.path, artifact.sha256) == (weights, hash_content(weights))


def test_what_cannot_be_made_is_refused(weights: Path, tmp_path: Path) -> None:
    store = ArtifactStore(tmp_path / "cache")
    with pytest.raises(CannotCompile, match="neuron"):
        prepare_expert(_spec(weights), "neuron", store)
    with pytest.raises(CannotCompile, match="adapter"):
        prepare_expert(_spec(weights, adapter="x"), "cpu", store)
    with pytest.raises(CannotCompile, match="no GGUF file"):
        prepare_expert(_spec(tmp_path / "experts.yaml"), "cpu", store)


def test_the_command_prints_what_it_made(weights: Path, capsys: pytest.CaptureFixture[str]) -> None:
    catalog = str(weights.parent / "experts.yaml")
    for _ in range(2):
        assert main(["a", "--target", "cpu", "--catalog", catalog, "--verify"]) == 0
        assert capsys.readouterr().out == f"a\tcpu\t{hash_content(weights)}\t{weights}\n"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [(["nobody"], "no such expert: nobody; there are a, b"), (["b"], "adapter"), (["--all"], "adapter")],
)
def test_the_command_says_what_is_wrong(
    weights: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], words: str
) -> None:
    assert main([*arguments, "--target", "cpu", "--catalog", str(weights.parent / "experts.yaml")]) == 1
    assert words in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [[], ["a", "--all"]])
def test_names_or_all(arguments: list[str]) -> None:
    with pytest.raises(SystemExit):
        main([*arguments, "--target", "cpu"])
