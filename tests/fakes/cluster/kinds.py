"""What the stand-in for a cluster knows: kinds by group, what they are called, and their schemas.

Kubernetes' own kinds have Kubernetes 1.34's schemas (the package kubernetes-validate), from which also comes how lists
are merged. Other kinds have their makers' CustomResourceDefinitions or models, where those are at hand.
"""

import functools
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import kubernetes_validate
import kubernetes_validate.utils as published

from tests.deploy import crd, custom_kinds, prometheus_operator

VERSION = "1.34"
Document = dict[str, Any]


@dataclass(frozen=True)
class Kind:
    """One kind of object: its API version, its name, its plural, what else it answers to."""

    api_version: str
    name: str
    plural: str
    short: tuple[str, ...] = ()
    namespaced: bool = True
    subresources: tuple[str, ...] = ()

    @property
    def is_kubernetes_own(self) -> bool:
        """Whether Kubernetes brings it."""
        group = self.api_version.rpartition("/")[0]
        return "." not in group or (group.endswith(".k8s.io") and group not in custom_kinds.GROUPS)


KINDS = (
    Kind("v1", "Namespace", "namespaces", ("ns",), False),
    Kind("v1", "Node", "nodes", ("no",), False, ("status",)),
    Kind("v1", "Pod", "pods", ("po",), True, ("status", "log", "eviction")),
    Kind("v1", "Service", "services", ("svc",)),
    Kind("v1", "ServiceAccount", "serviceaccounts", ("sa",)),
    Kind("v1", "Secret", "secrets"),
    Kind("v1", "ConfigMap", "configmaps", ("cm",)),
    Kind("v1", "PersistentVolumeClaim", "persistentvolumeclaims", ("pvc",)),
    Kind("apps/v1", "Deployment", "deployments", ("deploy",), True, ("status", "scale")),
    Kind("apps/v1", "ReplicaSet", "replicasets", ("rs",)),
    Kind("apps/v1", "DaemonSet", "daemonsets", ("ds",)),
    Kind("batch/v1", "Job", "jobs"),
    Kind("batch/v1", "CronJob", "cronjobs", ("cj",)),
    Kind("autoscaling/v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers", ("hpa",)),
    Kind("policy/v1", "PodDisruptionBudget", "poddisruptionbudgets", ("pdb",)),
    Kind("networking.k8s.io/v1", "NetworkPolicy", "networkpolicies", ("netpol",)),
    Kind("networking.k8s.io/v1", "Ingress", "ingresses", ("ing",)),
    Kind("ray.io/v1", "RayService", "rayservices", (), True, ("status",)),
    Kind("monitoring.coreos.com/v1", "ServiceMonitor", "servicemonitors", ("smon",)),
    Kind("monitoring.coreos.com/v1", "PodMonitor", "podmonitors", ("pmon",)),
    Kind("monitoring.coreos.com/v1", "PrometheusRule", "prometheusrules", ("promrule",)),
    *(Kind(*one) for one in custom_kinds.KINDS),
)
BY_NAME = {(kind.api_version, kind.name): kind for kind in KINDS}
BY_PLURAL = {(kind.api_version, kind.plural): kind for kind in KINDS}


def mistakes(document: Document) -> list[str]:
    """What the API server would say against an object; unknown fields are mistakes (fieldValidation=Strict)."""
    kind = BY_NAME[document["apiVersion"], document["kind"]]
    shown = {key: value for key, value in document.items() if key != "status"}
    if document["apiVersion"].startswith("ray.io/"):
        return crd.errors(shown) if crd.FILE.is_file() else []
    if document["apiVersion"].startswith("monitoring.coreos.com/"):
        return prometheus_operator.errors(shown)
    if not kind.is_kubernetes_own:
        return custom_kinds.errors(shown)
    try:
        kubernetes_validate.validate(shown, VERSION, strict=True)
    except kubernetes_validate.ValidationError as error:
        return [f"{'.'.join(map(str, error.absolute_path))}: {error.message[:200]}"]
    return []


@functools.cache
def definitions() -> dict[str, Any]:
    """Kubernetes' published definitions, with the keys by which lists are merged."""
    folder = Path(published.__file__).parent / "kubernetes-json-schema" / f"v{VERSION}.0-local"
    content: dict[str, Any] = json.loads((folder / "_definitions.json").read_text())["$defs"]
    return content


@functools.cache
def schema_of(api_version: str, name: str) -> Any:
    """The published schema of a kind; None where Kubernetes does not publish it."""
    group, _, version = api_version.rpartition("/")
    wanted = {"group": group, "kind": name, "version": version}
    for definition in definitions().values():
        if wanted in definition.get("x-kubernetes-group-version-kind", ()):
            return definition
    return None
