"""How the server shows what `kubectl get` prints: tables of pods and budgets; other kinds by their names."""

from typing import Any

Document = dict[str, Any]
_COLUMNS = {
    "Pod": ("Name", "Ready", "Status", "Node"),
    "PodDisruptionBudget": ("Name", "Max Unavailable", "Allowed Disruptions"),
}


def table(content: Any) -> Document | None:
    """Return a table of an object or a list; None where there is none of its kind."""
    if not isinstance(content, dict):
        return None
    kind = content.get("kind", "").removesuffix("List")
    if kind not in _COLUMNS:
        return None
    rows = [{"cells": _cells(kind, one), "object": _partial(one)} for one in content.get("items", [content])]
    columns = [{"name": name, "type": "string", "format": "name" if name == "Name" else ""} for name in _COLUMNS[kind]]
    columns = [{**one, "description": "", "priority": 0} for one in columns]
    meta = {"resourceVersion": content["metadata"].get("resourceVersion", "")}
    return {
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": meta,
        "columnDefinitions": columns,
        "rows": rows,
    }


def _cells(kind: str, one: Document) -> list[str]:
    name, status = one["metadata"]["name"], one.get("status", {})
    if kind == "PodDisruptionBudget":
        return [name, str(one["spec"].get("maxUnavailable")), str(status.get("disruptionsAllowed"))]
    ready = [container["ready"] for container in status.get("containerStatuses", ())]
    return [name, f"{sum(ready)}/{len(ready)}", status.get("phase", "Pending"), one["spec"].get("nodeName", "<none>")]


def _partial(one: Document) -> Document:
    return {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": one["metadata"]}
