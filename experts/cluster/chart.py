"""Templates of the Helm chart, made of the files that kustomize uses, so that both bring the same objects.

`experts.cluster.manifests` writes them into deploy/helm/moegate/templates/generated. A template is a file of deploy/k8s
with a few places replaced by values. Each place must be there as often as it is said here: a changed manifest fails
here, and not in a cluster. What needs no values (settings, rules, dashboards, the experts) the chart reads through
links to the files.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

CHART = Path("helm") / "moegate"


class ChartWrong(Exception):
    """A manifest no longer has what the chart replaces; the message names file and place."""


@dataclass(frozen=True, slots=True)
class Place:
    """A text of a manifest, what the chart has there, and how often."""

    text: str
    template: str
    times: int = 1


def _image(name: str, times: int = 1) -> Place:
    return Place(f"moegate/{name}:0.1.0", f'{{{{ include "moegate.image" (list . "{name}") }}}}', times)


_VALUES: Final = "{{ .Values.%s }}"
_JSON: Final = "{{ toJson .Values.%s }}"
_GATEWAY: Final = (
    _image("gateway"),
    Place(
        "  template:\n    metadata:\n      labels:\n",
        "  template:\n    metadata:\n      annotations:\n"
        '        checksum/settings: {{ include "moegate.settings" . | sha256sum }}\n'
        '        checksum/catalog: {{ .Files.Get (printf "files/%s/experts.yaml" .Values.target) | sha256sum }}\n'
        "      labels:\n",
    ),
    Place('requests: {cpu: "1", memory: 512Mi}', f"requests: {_JSON % 'gateway.resources.requests'}"),
    Place('limits: {cpu: "2", memory: 1Gi}', f"limits: {_JSON % 'gateway.resources.limits'}"),
    Place("secretName: moegate-keys", f"secretName: {_VALUES % 'gateway.keysSecret'}"),
    Place("secretKeyRef: {name: moegate-experts,", f"secretKeyRef: {{name: {_VALUES % 'experts.secret'},"),
    Place(
        "kind: Service\nmetadata:\n  name: moegate-gateway\n",
        "kind: Service\nmetadata:\n  name: moegate-gateway\n  {{- with .Values.gateway.serviceAnnotations }}\n"
        "  annotations: {{ toJson . }}\n  {{- end }}\n",
    ),
)
_SCALING: Final = (
    Place("minReplicas: 2", f"minReplicas: {_VALUES % 'gateway.minReplicas'}"),
    Place("maxReplicas: 10", f"maxReplicas: {_VALUES % 'gateway.maxReplicas'}"),
)


def _experts(target: str, most: int) -> tuple[Place, ...]:
    served = f'{{{{ (fromYaml (.Files.Get "files/{target}/serve-config.yaml")).spec.serveConfigV2 | toJson }}}}'
    return (
        _image(f"expert-{target}", 2),
        Place("secretKeyRef: {name: moegate-experts,", f"secretKeyRef: {{name: {_VALUES % 'experts.secret'},"),
        Place("        minReplicas: 1\n", f"        minReplicas: {_VALUES % 'experts.minWorkers'}\n"),
        Place("        replicas: 1\n", f"        replicas: {_VALUES % 'experts.minWorkers'}\n"),
        Place(f"maxReplicas: {most}", f"maxReplicas: {_VALUES % f'experts.maxWorkers.{target}'}"),
        Place("  rayClusterConfig:\n", f"  serveConfigV2: {served}\n  rayClusterConfig:\n"),
        Place(
            "kind: ServiceAccount\nmetadata:\n  name: moegate-experts\n",
            "kind: ServiceAccount\nmetadata:\n  name: moegate-experts\n"
            "  {{- with .Values.experts.accountAnnotations }}\n  annotations: {{ toJson . }}\n  {{- end }}\n",
        ),
    )


_FILES: Final[Mapping[str, tuple[str, tuple[Place, ...]]]] = {
    "gateway.yaml": ("base/gateway.yaml", _GATEWAY),
    "autoscaling.yaml": ("base/autoscaling.yaml", _SCALING),
    "network.yaml": ("base/network.yaml", ()),
    "monitoring.yaml": ("base/monitoring.yaml", ()),
    "experts-cpu.yaml": ("overlays/cpu/rayservice.yaml", _experts("cpu", 4)),
    "experts-neuron.yaml": ("overlays/neuron/rayservice.yaml", _experts("neuron", 3)),
}


def chart_templates(deploy: Path, header: str) -> dict[Path, str]:
    """Make every generated template, by its path.

    Raises:
        ChartWrong: a manifest does not have what is replaced.
    """
    folder = deploy / CHART / "templates" / "generated"
    return {
        folder / name: header + _guarded(name, _filled(deploy / "k8s" / source, places))
        for name, (source, places) in _FILES.items()
    }


def _filled(path: Path, places: tuple[Place, ...]) -> str:
    text = path.read_text("utf-8")
    if "{{" in text:
        raise ChartWrong(f"{path}: has braces of a template")
    for place in places:
        if (found := text.count(place.text)) != place.times:
            raise ChartWrong(f"{path}: has {place.text.strip()!r} {found} times, the chart replaces {place.times}")
    for place in places:
        text = text.replace(place.text, place.template)
    return text


def _guarded(name: str, text: str) -> str:
    """Leave experts out whose target is another."""
    _, _, target = name.removesuffix(".yaml").partition("experts-")
    return f'{{{{- if eq .Values.target "{target}" }}}}\n{text}{{{{- end }}}}\n' if target else text
