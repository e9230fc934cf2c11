"""Dashboards and alerts for a cluster, made of the files that one machine uses: a ConfigMap's list, a PrometheusRule.

`experts.cluster.manifests` writes both. A rule says the same in a cluster: its expressions match the labels that the
ServiceMonitor and the PodMonitor of deploy/k8s make as well as those of deploy/prometheus/prometheus.yml. What changes
is the link to the runbook, which is a path in a checkout and an address in a cluster (`runbook_url`, as Alertmanager's
templates know it).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

RULE = "moegate"
_HERE = "docs/"  # what a runbook's path in a checkout begins with


class SiteWrong(Exception):
    """deploy/k8s/site.yaml cannot be used."""


def docs_address(site: Path) -> str:
    """Read where the documents can be read.

    Raises:
        SiteWrong: the file does not say, or says no https address.
    """
    try:
        content = yaml.safe_load(site.read_text("utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise SiteWrong(f"{site}: cannot be read: {type(error).__name__}") from None
    docs = content.get("docs") if isinstance(content, dict) else None
    if not isinstance(docs, str) or urlsplit(docs).scheme != "https" or not urlsplit(docs).netloc:
        raise SiteWrong(f"{site}: docs: needs an address such as https://example.org/moegate/docs")
    return docs.rstrip("/")


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
