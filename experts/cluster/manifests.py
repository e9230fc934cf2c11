"""Kubernetes manifests from the catalogue: `python -m experts.cluster.manifests` writes them, `--check` compares.

For each overlay of deploy/k8s it makes RayService's `serveConfigV2` (one application an expert, and the encoder's where
there is one) and the catalogue that the gateway mounts, from the catalogue that ships or from yours
(`experts.cluster.site_settings`); for all of them the dashboards' list and the alerts (`experts.cluster.observed`), and
the Helm chart's templates (`experts.cluster.chart`).
A canary is one more expert, made here from the one that it may replace. Then `kubectl apply -k` applies them;
deploy/k8s/rollout.sh does both.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from experts.catalog.encoders import ENCODER_APPLICATION
from experts.catalog.spec import Catalog, CatalogError, ExpertSpec, load_catalog
from experts.cluster.chart import ChartWrong, chart_templates
from experts.cluster.deployment_options import DEPLOYMENT, SERVICER, deployment_options
from experts.cluster.encoder_application import ENCODER_DEPLOYMENT, ENCODER_SERVICER, encoder_options
from experts.cluster.observed import dashboards, prometheus_rule
from experts.cluster.site_settings import Encoder, SiteWrong, check_gateway, check_reach, read_site
from experts.commands.messages import complain
from experts.commands.outputs import NotOurs, claim, text_with, write

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
OVERLAYS: Mapping[str, str] = {"cpu": "experts.yaml", "neuron": "experts.neuron.yaml"}
RAY_SERVICE = "moegate-experts"
CPU_NODES = "cpu_image"
"""A resource of Ray's, which workers of the CPU image offer where others are of another."""
HEADER = "# Made by `python -m experts.cluster.manifests`; do not edit.\n"
_CANARY = re.compile(r"(?P<expert>[a-z][a-z0-9-]*)=(?P<artifact>.+)@(?P<share>0?\.\d+)")


class _Dumper(yaml.SafeDumper):
    """Writes long text as blocks."""


_Dumper.add_representer(
    str,
    lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Write or check; return 1 when a file is out of date or a catalogue cannot be used."""
    parser = argparse.ArgumentParser(
        prog="python -m experts.cluster.manifests", description="Manifests from the catalogue."
    )
    parser.add_argument("--check", action="store_true", help="write nothing; fail when a file is out of date")
    parser.add_argument("--overlay", choices=list(OVERLAYS), action="append", help="only this one (default: all)")
    parser.add_argument(
        "--canary", metavar="EXPERT=ARTIFACT@SHARE", help="one expert's successor for a share, 0.05 say"
    )
    parser.add_argument(
        "--catalog",
        metavar="FILE",
        type=Path,
        help="your catalogue, with one --overlay (kept: `catalogs` in site.yaml)",
    )
    options = parser.parse_args(arguments)
    if options.catalog is not None and len(options.overlay or ()) != 1:
        parser.error("--catalog belongs to one overlay: say --overlay cpu or --overlay neuron")
    try:
        files = render(DEPLOY, options.overlay or list(OVERLAYS), options.canary, options.catalog)
    except (CatalogError, ChartWrong, SiteWrong) as error:
        complain(error)
        return 1
    stale = [path for path, text in files.items() if not path.is_file() or path.read_text("utf-8") != text]
    if options.check:
        for path in stale:
            print(
                f"out of date: {path.relative_to(DEPLOY.parent)}; run python -m experts.cluster.manifests",
                file=sys.stderr,
            )
        return 1 if stale else 0
    try:
        for path in stale:
            claim(path, text_with(HEADER.strip()))
        for path in stale:
            write(path, files[path])
    except (NotOurs, OSError) as error:
        complain(error)
        return 1
    return 0


def render(
    deploy: Path, overlays: Sequence[str], canary: str | None = None, own: Path | None = None
) -> dict[Path, str]:
    """Make every generated file; `own` is a catalogue in place of the one that the site or the checkout has.

    Raises:
        CatalogError: a catalogue, or the canary, cannot be used.
        SiteWrong: deploy/k8s/site.yaml cannot be used.
        ChartWrong: a manifest does not have what the chart replaces.
    """
    site = read_site(deploy / "k8s" / "site.yaml")
    if strangers := set(site.catalogs) - set(OVERLAYS):
        raise SiteWrong(f"site.yaml: catalogs: {', '.join(strangers)}: no overlay; there are {', '.join(OVERLAYS)}")
    check_gateway(deploy / "k8s" / "base" / "settings.yaml", site)
    rule = prometheus_rule(deploy / "prometheus" / "rules", site.docs)
    files = {
        deploy / "grafana" / "kustomization.yaml": HEADER + _dump(dashboards(deploy / "grafana")),
        deploy / "k8s" / "base" / "generated" / "rules.yaml": HEADER + _dump(rule),
        **chart_templates(deploy, HEADER),
    }
    for overlay in overlays:
        catalog = load_catalog(own or site.catalogs.get(overlay) or deploy / OVERLAYS[overlay])
        check_no_copies(catalog)
        check_reach(catalog)
        if canary is not None:
            catalog = add_canary(catalog, canary)
        folder = deploy / "k8s" / "overlays" / overlay / "generated"
        files[folder / "serve-config.yaml"] = HEADER + _dump(ray_service_patch(catalog, _placed(site.encoder, overlay)))
        files[folder / "experts.yaml"] = HEADER + _dump(_plain(catalog))
    return files


def check_no_copies(catalog: Catalog) -> None:
    """See that no two experts have the same weights: a cluster would pay for copies that differ in their prompts alone.

    Raises:
        CatalogError: two experts have the same base and the same adapter, or neither has one.
    """
    owners: dict[tuple[str, str | None], str] = {}
    for spec in catalog.experts:
        other = owners.setdefault((spec.base, spec.adapter), spec.name)
        if other != spec.name and spec.engine in {"openvino", "neuron"}:
            raise CatalogError(
                f"experts {other!r} and {spec.name!r} have the same weights: give each an `adapter` of its own "
                "(python -m experts.rebase trains them), or deploy one of them"
            )


def add_canary(catalog: Catalog, text: str) -> Catalog:
    """Add the canary that `EXPERT=ARTIFACT@SHARE` asks for: the same entry with another artefact, one replica.

    Raises:
        CatalogError: the text is no such thing, or the expert is unknown.
    """
    match = _CANARY.fullmatch(text)
    expert = catalog.get(match["expert"]) if match else None
    if match is None or expert is None:
        raise CatalogError(f"--canary {text!r}: say EXPERT=ARTIFACT@SHARE, EXPERT one of {', '.join(catalog.names)}")
    is_neuron = expert.engine == "neuron"
    entry = _plain(expert) | {
        "name": f"{expert.name}-canary",
        "canary_of": expert.name,
        "canary_share": float(match["share"]),
        "scaling": {"min_replicas": 1, "max_replicas": 1},
    }
    entry |= {"engine_options": {**expert.engine_options, "artifact": match["artifact"]}} if is_neuron else {}
    entry |= {} if is_neuron else {"adapter": match["artifact"]}
    try:
        return Catalog.model_validate({**_plain(catalog), "experts": [*_plain(catalog)["experts"], entry]})
    except ValidationError as error:
        told = "; ".join(mistake["msg"] for mistake in error.errors(include_url=False))
        raise CatalogError(f"--canary {text!r}: {told}") from None


def ray_service_patch(catalog: Catalog, encoder: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Make the patch that fills in RayService's `serveConfigV2`."""
    return {
        "apiVersion": "ray.io/v1",
        "kind": "RayService",
        "metadata": {"name": RAY_SERVICE},
        "spec": {"serveConfigV2": _dump(serve_config(catalog, encoder))},
    }


def serve_config(catalog: Catalog, encoder: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Make Ray Serve's configuration: HTTP for health checks, gRPC for the gateway, one application an expert.

    `encoder` is its application, where there is one.
    """
    more = [] if encoder is None else [encoder]
    servicers = [SERVICER] + [ENCODER_SERVICER] * len(more)
    return {
        "proxy_location": "EveryNode",
        "http_options": {"host": "0.0.0.0", "port": 8000},
        "grpc_options": {"port": 9000, "grpc_servicer_functions": servicers, "enable_reflection": False},
        "logging_config": {"log_level": "WARNING", "enable_access_log": False},
        "applications": [*(_application(spec) for spec in catalog.experts), *more],
    }


def _application(spec: ExpertSpec) -> dict[str, Any]:
    return {
        "name": spec.name,
        "route_prefix": f"/{spec.name}",  # without one it could not be reached over gRPC either
        "import_path": "experts.cluster.import_path:build",
        "args": {"spec": _plain(spec)},
        "deployments": [{"name": DEPLOYMENT, **deployment_options(spec)}],
    }


def _placed(encoder: Encoder | None, overlay: str) -> dict[str, Any] | None:
    """Make the encoder's application; beside Neuron it runs where `CPU_NODES` is offered: that image has OpenVINO."""
    if encoder is None:
        return None
    options = encoder_options() | {"num_replicas": encoder.replicas}
    if overlay == "neuron":
        options["ray_actor_options"] |= {"resources": {CPU_NODES: 0.001}}
    return {
        "name": ENCODER_APPLICATION,
        "route_prefix": f"/{ENCODER_APPLICATION}",
        "import_path": "experts.cluster.import_path:build_encoder",
        "args": {"base": encoder.base, "collections": encoder.collections},
        "deployments": [{"name": ENCODER_DEPLOYMENT, **options}],
    }


def _plain(model: Catalog | ExpertSpec) -> dict[str, Any]:
    """Return what a model says beyond its defaults, as YAML types."""
    content: dict[str, Any] = json.loads(model.model_dump_json(exclude_defaults=True))
    return content


def _dump(content: object) -> str:
    return yaml.dump(content, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110)


if __name__ == "__main__":
    sys.exit(main())
