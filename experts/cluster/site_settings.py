"""What is yours in what is generated: deploy/k8s/site.yaml, and whether a catalogue of yours can run in pods.

`experts.cluster.manifests` reads it. A catalogue that names a folder of the machine it was written on cannot be served
by a pod: what a replica loads ships with the image, comes from a registry, or lies in a bucket under a pin.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import yaml

from experts.catalog.encoders import DEFAULT_ENCODER
from experts.catalog.remote import is_remote
from experts.catalog.spec import Catalog, CatalogError, ExpertSpec, adapter_folder
from experts.retrieval.stores import QDRANT

_KNOWN = {"docs", "catalogs", "encoder"}
_OF_ENCODER = {"base", "collections", "replicas"}
_SHIPPED = "moegate:"


class SiteWrong(Exception):
    """deploy/k8s/site.yaml cannot be used."""


@dataclass(frozen=True, slots=True)
class Encoder:
    """The encoder's application in a cluster.

    Attributes:
        base: its model: a wheel, `hf:OWNER/NAME`, an address under a pin, or a folder that the image or a volume has.
        collections: the store that it searches; None: embeddings alone.
        replicas: how many; each holds the model, and the rows of the collections that it searches.
    """

    base: str = DEFAULT_ENCODER
    collections: str | None = None
    replicas: int = 1


@dataclass(frozen=True, slots=True)
class Site:
    """What is yours.

    Attributes:
        docs: where the documents can be read.
        catalogs: of an overlay, in place of the one that ships.
        encoder: beside the experts; None: there is none.
    """

    docs: str
    catalogs: Mapping[str, Path]
    encoder: Encoder | None = None


def read_site(path: Path) -> Site:
    """Read the file; a catalogue's path is relative to it.

    Raises:
        SiteWrong: it cannot be read, or does not say what it must.
    """
    try:
        content = yaml.safe_load(path.read_text("utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise SiteWrong(f"{path}: cannot be read: {type(error).__name__}") from None
    docs = content.get("docs") if isinstance(content, dict) else None
    if not isinstance(docs, str) or urlsplit(docs).scheme != "https" or not urlsplit(docs).netloc:
        raise SiteWrong(f"{path}: docs: needs an address such as https://example.org/moegate/docs")
    if unknown := sorted(map(str, set(content) - _KNOWN)):
        raise SiteWrong(f"{path}: {', '.join(unknown)}: not known; it may say {', '.join(sorted(_KNOWN))}")
    catalogs = content.get("catalogs") or {}
    if not isinstance(catalogs, dict) or not all(isinstance(one, str) for one in (*catalogs, *catalogs.values())):
        raise SiteWrong(f"{path}: catalogs: needs an overlay and a file, such as {{cpu: ../../my-experts.yaml}}")
    found = {overlay: (path.parent / file).resolve() for overlay, file in catalogs.items()}
    return Site(docs.rstrip("/"), found, _encoder(path, content["encoder"]) if "encoder" in content else None)


def _encoder(path: Path, content: object) -> Encoder:
    """Read the encoder's part.

    Raises:
        SiteWrong: it is of another form, or names what no pod has.
    """
    told = content if isinstance(content, dict) else {"?": content}
    if unknown := sorted(map(str, set(told) - _OF_ENCODER)):
        known = ", ".join(sorted(_OF_ENCODER))
        raise SiteWrong(f"{path}: encoder: {', '.join(unknown)}: not known; it may say {known}")
    encoder = Encoder(**told)
    if not isinstance(encoder.base, str) or (_is_path(encoder.base) and not Path(encoder.base).is_absolute()):
        raise SiteWrong(f"{path}: encoder: base: needs pypi:NAME==VERSION, hf:OWNER/NAME, or an address under a pin")
    if not (encoder.collections is None or _is_store_of_pods(encoder.collections)):
        known = "s3://BUCKET/PATH, qdrant:http://HOST:6333 or /A/VOLUME"
        raise SiteWrong(f"{path}: encoder: collections: pods need {known}")
    if not isinstance(encoder.replicas, int) or isinstance(encoder.replicas, bool) or encoder.replicas < 1:
        raise SiteWrong(f"{path}: encoder: replicas: needs a number from 1")
    return encoder


def _is_store_of_pods(address: object) -> bool:
    if not isinstance(address, str):
        return False
    if address.startswith(QDRANT):
        return urlsplit(address.removeprefix(QDRANT)).scheme in {"http", "https"}
    return is_remote(address) or Path(address).is_absolute()


def check_gateway(path: Path, site: Site) -> None:
    """See that the gateways' settings ask for no encoder that the cluster does not start.

    Raises:
        SiteWrong: they do, or cannot be read.
    """
    try:
        content = yaml.safe_load(path.read_text("utf-8"))
        wanted = [name for name in ("encoder", "retrieval") if (content.get(name) or {}).get("enabled")]
    except (OSError, yaml.YAMLError, AttributeError) as error:
        raise SiteWrong(f"{path}: cannot be read: {type(error).__name__}") from None
    if wanted and site.encoder is None:
        raise SiteWrong(f"{path}: {wanted[0]}: enabled, and site.yaml has no `encoder`: the cluster would start none")
    if "retrieval" in wanted and site.encoder is not None and site.encoder.collections is None:
        raise SiteWrong(f"{path}: retrieval: enabled, and site.yaml names no `collections` of the encoder")


def check_reach(catalog: Catalog) -> None:
    """See that pods can get what each expert loads.

    Raises:
        CatalogError: an expert names a folder of this machine, or an adapter that does not ship.
    """
    for spec in catalog.experts:
        if spec.has_weights:
            _check_weights(spec)


def _check_weights(spec: ExpertSpec) -> None:
    if spec.engine == "neuron":  # its base and adapter are in what was compiled
        artifact = spec.engine_options.get("artifact")
        if not (isinstance(artifact, str) and is_remote(artifact)):
            raise CatalogError(f"expert {spec.name!r}: engine_options.artifact: pods need an address, such as s3://...")
        return
    if spec.adapter is not None and spec.adapter.startswith(_SHIPPED) and not adapter_folder(spec.adapter).is_dir():
        raise CatalogError(f"expert {spec.name!r}: adapter: {spec.adapter} does not ship with the images")
    for field, value in (("base", spec.base), ("adapter", spec.adapter)):
        if value is not None and _is_path(value) and not Path(value).is_absolute():
            raise CatalogError(
                f"expert {spec.name!r}: {field}: {value} is a path of this machine, which no pod has: publish it "
                "(python -m experts.artifacts.publish FOLDER s3://...) and write the address that it prints"
            )


def _is_path(value: str) -> bool:
    return not is_remote(value) and not value.startswith((_SHIPPED, "pypi:", "hf:"))
