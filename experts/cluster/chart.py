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
_WITH_TLS: Final = "{{ if .Values.tls.secret }}%s{{ end }}"
_LINES_WITH_TLS: Final = "{{- if .Values.tls.secret }}\n%s{{- end }}\n"
_JSON: Final = "{{ toJson .Values.%s }}"
_TLS_OR_H2C: Final = "{{ if .Values.tls.secret }}https{{ else }}kubernetes.io/h2c{{ end }}"


def _after(text: str, more: str) -> Place:
    """Further lines behind a text, where the gateway's own doors speak TLS."""
    return Place(text, text + _LINES_WITH_TLS % more)


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
    Place("path: /health, port: http", f"path: /health, port: http{_WITH_TLS % ', scheme: HTTPS'}", 2),
    Place("path: /ready, port: http", f"path: /ready, port: http{_WITH_TLS % ', scheme: HTTPS'}"),
    Place("appProtocol: http}", "appProtocol: {{ if .Values.tls.secret }}https{{ else }}http{{ end }}}"),
    Place("appProtocol: kubernetes.io/h2c}", f"appProtocol: {_TLS_OR_H2C}}}"),
    _after(
        "  # copies of remote.router and remote.catalog\n",
        "            - {name: MOEGATE_TLS__CERTIFICATE, value: /etc/moegate/tls/tls.crt}\n"
        "            - {name: MOEGATE_TLS__KEY, value: /etc/moegate/tls/tls.key}\n",
    ),
    _after(
        "            - {name: cache, mountPath: /var/cache/moegate}\n",
        "            - {name: tls, mountPath: /etc/moegate/tls, readOnly: true}\n",
    ),
    _after(
        "        - name: cache\n          emptyDir: {sizeLimit: 256Mi}\n",
        "        - name: tls\n          secret: {secretName: {{ .Values.tls.secret }}, defaultMode: 0440}\n",
    ),
)
_MONITORS: Final = (
    Place(
        "    - {port: http, path: /metrics, interval: 15s}\n",
        "    - port: http\n      path: /metrics\n      interval: 15s\n"
        "      {{- if .Values.tls.secret }}\n      scheme: https\n"
        "      tlsConfig:\n        serverName: moegate-gateway.{{ .Release.Namespace }}.svc\n"
        "        ca: {secret: {name: {{ .Values.tls.secret }}, key: ca.crt, optional: true}}\n      {{- end }}\n",
    ),
)
_CERTIFICATE: Final = (
    Place("secretName: moegate-tls", f"secretName: {_VALUES % 'tls.secret'}"),
    Place("issuerRef: {kind: ClusterIssuer, name: YOUR-ISSUER}", f"issuerRef: {_JSON % 'tls.issuer'}"),
    Place(
        "dnsNames: [moegate.example.org, moegate-gateway.moegate.svc]",
        'dnsNames: {{ append .Values.tls.hosts (printf "moegate-gateway.%s.svc" .Release.Namespace) | toJson }}',
    ),
)
_ROUTES: Final = (
    Place(
        "  parentRefs:\n    - {name: YOUR-GATEWAY, namespace: YOUR-GATEWAY-NAMESPACE}\n",
        '  {{- $_ := required "gatewayApi.parents: name your Gateway" (first .Values.gatewayApi.parents) }}\n'
        f"  parentRefs: {_JSON % 'gatewayApi.parents'}\n",
        2,
    ),
    Place("hostnames: [moegate.example.org]", f"hostnames: [{_VALUES % 'gatewayApi.host'}]"),
    Place("hostnames: [grpc.moegate.example.org]", f"hostnames: [{_VALUES % 'gatewayApi.grpcHost'}]"),
)
_POOLS: Final = (
    Place("al2023@YOUR-RELEASE", '{{ required "karpenter.ami: such as al2023@v20260828" .Values.karpenter.ami }}'),
    Place("role: YOUR-NODE-ROLE", 'role: {{ required "karpenter.role: the nodes\' role" .Values.karpenter.role }}'),
    Place("karpenter.sh/discovery: moegate", f"karpenter.sh/discovery: {_VALUES % 'karpenter.discovery'}", 2),
)
_SCALING: Final = (
    Place("minReplicas: 2", f"minReplicas: {_VALUES % 'gateway.minReplicas'}"),
    Place("maxReplicas: 10", f"maxReplicas: {_VALUES % 'gateway.maxReplicas'}"),
)


_LAST_LINE: Final = "            volumes: *volumes\n"  # of the worker group, the last of the list
_MORE_GROUPS: Final = "    {{- with .Values.experts.moreWorkerGroups }}\n{{ toYaml . | indent 6 }}\n    {{- end }}\n"


def _experts(target: str, most: int) -> tuple[Place, ...]:
    served = f'{{{{ (fromYaml (.Files.Get "files/{target}/serve-config.yaml")).spec.serveConfigV2 | toJson }}}}'
    return (
        _image(f"expert-{target}", 2),
        Place("secretKeyRef: {name: moegate-experts,", f"secretKeyRef: {{name: {_VALUES % 'experts.secret'},"),
        Place("        minReplicas: 1\n", f"        minReplicas: {_VALUES % 'experts.minWorkers'}\n"),
        Place("        replicas: 1\n", f"        replicas: {_VALUES % 'experts.minWorkers'}\n"),
        Place(f"maxReplicas: {most}", f"maxReplicas: {_VALUES % f'experts.maxWorkers.{target}'}"),
        Place("  rayClusterConfig:\n", f"  serveConfigV2: {served}\n  rayClusterConfig:\n"),
        Place(_LAST_LINE, _LAST_LINE + _MORE_GROUPS),
        Place(
            "kind: ServiceAccount\nmetadata:\n  name: moegate-experts\n",
            "kind: ServiceAccount\nmetadata:\n  name: moegate-experts\n"
            "  {{- with .Values.experts.accountAnnotations }}\n  annotations: {{ toJson . }}\n  {{- end }}\n",
        ),
    )


_FLYWHEEL: Final = (
    _image("flywheel"),
    Place('schedule: "17 3 * * *"', "schedule: {{ .Values.flywheel.schedule | quote }}"),
    Place('requests: {cpu: "4", memory: 8Gi}', f"requests: {_JSON % 'flywheel.resources.requests'}"),
    Place('limits: {cpu: "8", memory: 16Gi}', f"limits: {_JSON % 'flywheel.resources.limits'}"),
    Place("requests: {storage: 50Gi}", f"requests: {{storage: {_VALUES % 'flywheel.storage'}}}"),
)


@dataclass(frozen=True, slots=True)
class Template:
    """What a template is made of: a file of deploy/k8s, its places, and the condition under which it is there."""

    source: str
    places: tuple[Place, ...] = ()
    condition: str = ""


_FILES: Final[Mapping[str, Template]] = {
    "gateway.yaml": Template("base/gateway.yaml", _GATEWAY),
    "autoscaling.yaml": Template("base/autoscaling.yaml", _SCALING),
    "network.yaml": Template("base/network.yaml"),
    "monitoring.yaml": Template("base/monitoring.yaml", _MONITORS),
    "experts-cpu.yaml": Template("overlays/cpu/rayservice.yaml", _experts("cpu", 4), 'eq .Values.target "cpu"'),
    "experts-neuron.yaml": Template(
        "overlays/neuron/rayservice.yaml", _experts("neuron", 3), 'eq .Values.target "neuron"'
    ),
    "certificate.yaml": Template(
        "components/tls/certificate.yaml", _CERTIFICATE, "and .Values.tls.secret .Values.tls.issuer.name"
    ),
    "routes.yaml": Template("components/gateway-api/routes.yaml", _ROUTES, ".Values.gatewayApi.enabled"),
    "pools.yaml": Template("karpenter/pools.yaml", _POOLS, ".Values.karpenter.enabled"),
    "neuron-monitor.yaml": Template("neuron-monitor/monitor.yaml", (), ".Values.neuronMonitor.enabled"),
    "flywheel.yaml": Template("flywheel/flywheel.yaml", _FLYWHEEL, ".Values.flywheel.enabled"),
}


def chart_templates(deploy: Path, header: str) -> dict[Path, str]:
    """Make every generated template, by its path.

    Raises:
        ChartWrong: a manifest does not have what is replaced.
    """
    folder = deploy / CHART / "templates" / "generated"
    return {
        folder / name: header + _guarded(one.condition, _filled(deploy / "k8s" / one.source, one.places))
        for name, one in _FILES.items()
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


def _guarded(condition: str, text: str) -> str:
    return f"{{{{- if {condition} }}}}\n{text}{{{{- end }}}}\n" if condition else text
