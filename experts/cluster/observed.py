"""Dashboards and alerts for a cluster, made of the files that one machine uses: a ConfigMap's list, a PrometheusRule.

`experts.cluster.manifests` writes both. A rule says the same in a cluster: its expressions match the labels that the
ServiceMonitor and the PodMonitor of deploy/k8s make as well as those of deploy/prometheus/prometheus.yml. What changes
is the link to the runbook, which is a path in a checkout and an address in a cluster (`runbook_url`, as Alertmanager's
templates know it).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

RULE = "moegate"
_HERE = "docs/"  # what a runbook's path in a checkout begins with


def prometheus_rule(rules: Path, docs: str) -> dict[str, Any]:
    """Make the PrometheusRule out of a folder of rule files."""
    groups = [
        group for file in sorted(rules.glob("*.yml")) for group in yaml.safe_load(file.read_text("utf-8"))["groups"]
    ]
    for rule in (rule for group in groups for rule in group["rules"] if "alert" in rule):
        path = rule["annotations"].pop("runbook")
        rule["annotations"]["runbook_url"] = f"{docs}/{path.removeprefix(_HERE)}"
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": RULE, "labels": {"app.kubernetes.io/name": "moegate"}},
        "spec": {"groups": groups},
    }


def dashboards(folder: Path) -> dict[str, Any]:
    """Make the ConfigMap of every dashboard in the folder; Grafana's sidecar finds it by its label."""
    return {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "configMapGenerator": [
            {
                "name": "moegate-dashboards",
                "files": sorted(str(path.relative_to(folder)) for path in folder.glob("dashboards/*.json")),
                "options": {"labels": {"grafana_dashboard": "1"}, "disableNameSuffixHash": True},
            }
        ],
    }
