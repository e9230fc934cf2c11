"""Addresses, what is fetched from them, and how it gets there, against a real S3 server."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from experts.artifacts import publish as command
from experts.artifacts.bases import BaseUnavailable, resolve_base
from experts.artifacts.pinned import fetch_pinned
from experts.artifacts.publish import WouldReplace, publish
from experts.artifacts.store import ArtifactCorrupt, ArtifactStore, hash_content
from experts.artifacts.weights import local_adapter
from experts.catalog.remote import Address, RemoteError, Unreachable, download, is_remote, parse_address, state
from experts.catalog.spec import CatalogError, load_catalog
from experts.compilation.prepare import CannotCompile, prepare_expert
from tests.helpers import expert_spec

pytest.importorskip("moto", reason="needs moto")
from tests.fakes.s3 import BUCKET, Bucket, s3_bucket  # only where moto is

PIN = "a" * 64


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Bucket]:
    with s3_bucket(monkeypatch, tmp_path) as made:
        yield made


@pytest.fixture
def adapter(tmp_path: Path) -> Path:
    folder = tmp_path / "made" / "coder"
    folder.mkdir(parents=True)
    (folder / "adapter_config.json").write_text("{}")
    (folder / "adapter_model.safetensors").write_bytes(b"weights")
    return folder


def test_addresses() -> None:
    assert parse_address("s3://b/a/coder") == Address("s3://b/a/coder")
    assert parse_address(f"s3://b/coder@sha256:{PIN}") == Address("s3://b/coder", PIN)
    assert str(Address("s3://b/c", PIN)) == f"s3://b/c@sha256:{PIN}"
    assert parse_address("s3://b/at@home/c").url == "s3://b/at@home/c"
    assert parse_address("s3://b/a/coder/").name == "coder"
    assert not is_remote("adapters/coder")


@pytest.mark.parametrize(
    "text", ["coder", "s3://", "s3://b/c@sha256:abc", f"s3://b/c@sha256:{PIN.upper()}", "s3://b c"]
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(RemoteError, match="no address such as"):
        parse_address(text)


def test_there_and_back_by_its_pin(bucket: Bucket, adapter: Path, tmp_path: Path) -> None:
    pinned = publish(adapter, f"s3://{BUCKET}/adapters/coder")
    assert pinned.sha256 == hash_content(adapter)
    store = ArtifactStore(tmp_path / "cache")
    fetched = fetch_pinned(str(pinned), store)
    assert fetched.sha256 == pinned.sha256
    assert sorted(path.name for path in fetched.path.iterdir()) == ["adapter_config.json", "adapter_model.safetensors"]
    assert local_adapter(str(pinned), store) == fetched.path
    bucket.go_away()
    assert fetch_pinned(str(pinned), store) == fetched  # one content for ever: nobody is asked


def test_what_is_not_its_pin_is_refused_and_leaves_nothing(bucket: Bucket, adapter: Path, tmp_path: Path) -> None:
    pinned = publish(adapter, f"s3://{BUCKET}/adapters/coder")
    whole = bucket.get("adapters/coder/adapter_model.safetensors")
    bucket.put("adapters/coder/adapter_model.safetensors", b"weightz")
    store = ArtifactStore(tmp_path / "cache")
    with pytest.raises(ArtifactCorrupt, match="the catalogue wants"):
        fetch_pinned(str(pinned), store)
    assert not list((tmp_path / "cache").rglob("*.safetensors"))
    bucket.put("adapters/coder/adapter_model.safetensors", whole)
    assert fetch_pinned(str(pinned), store).sha256 == pinned.sha256


def test_a_server_that_is_away_is_told_without_its_words(bucket: Bucket, tmp_path: Path) -> None:
    url = bucket.put("router.npz", b"x")
    bucket.go_away()
    with pytest.raises(Unreachable) as caught:
        state(url)
    assert str(caught.value).startswith(f"{url}: ")
    assert "127.0.0.1" not in str(caught.value)
    with pytest.raises(CannotCompile, match=f"'coder': adapter s3://{BUCKET}/c"):
        prepare_expert(
            expert_spec("coder", engine="openvino", base=str(_gguf(tmp_path)), adapter=f"s3://{BUCKET}/c@sha256:{PIN}"),
            "cpu",
            ArtifactStore(tmp_path / "cache"),
        )


def _gguf(folder: Path) -> Path:
    path = folder / "base.gguf"
    path.write_bytes(b"GGUF")
    return path


def test_nothing_there_and_an_unknown_kind_are_typed(bucket: Bucket, tmp_path: Path) -> None:
    with pytest.raises(Unreachable, match="there is nothing"):
        download(f"s3://{BUCKET}/nothing", tmp_path / "x")
    with pytest.raises(RemoteError, match="nosuch"):
        state("nosuch://a/b")


def test_a_base_may_lie_in_a_bucket(bucket: Bucket, tmp_path: Path) -> None:
    pinned = publish(_gguf(tmp_path), f"s3://{BUCKET}/merged/coder.gguf")
    store = ArtifactStore(tmp_path / "cache")
    found = resolve_base(str(pinned), store)
    assert (found.path.name, found.path.read_bytes()) == ("coder.gguf", b"GGUF")
    with pytest.raises(BaseUnavailable, match="there is nothing"):
        resolve_base(f"s3://{BUCKET}/none@sha256:{PIN}", store)


def test_publishing_replaces_nothing_in_silence(
    bucket: Bucket, adapter: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url = f"s3://{BUCKET}/adapters/coder"
    first = publish(adapter, url)
    assert publish(adapter, url) == first
    (adapter / "adapter_config.json").write_text("{ }")
    with pytest.raises(WouldReplace, match="holds something else"):
        publish(adapter, url)
    assert command.main([str(adapter), url]) == 1
    assert "holds something else" in capsys.readouterr().err
    assert command.main([str(adapter), url, "--replace"]) == 0
    assert capsys.readouterr().out.strip() == str(Address(url, hash_content(adapter)))


@pytest.mark.parametrize("field", ["base", "adapter"])
def test_the_catalogue_wants_a_pin(field: str, tmp_path: Path) -> None:
    entry = {"name": "coder", "description": "d", "base": "b", "engine": "openvino", "context_window": 10}
    entry |= {"licence": "MIT", "price": {"usd_per_million": {"prompt": 0, "completion": 0}}}
    file = tmp_path / "experts.yaml"
    import yaml

    for value, is_good in ((f"s3://b/c@sha256:{PIN}", True), ("s3://b/c", False), ("s3://b/c@sha256:1", False)):
        file.write_text(yaml.safe_dump({"default": "coder", "experts": [{**entry, field: value}]}))
        if is_good:
            assert getattr(load_catalog(file).experts[0], field) == value
        else:
            with pytest.raises(CatalogError, match=rf"'coder': {field}: .*@sha256:HEX"):
                load_catalog(file)
