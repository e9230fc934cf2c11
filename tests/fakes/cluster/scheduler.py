"""Where a pod may run: nodes by selector, taints and room; of those the zone with the fewest of its like."""

from typing import Any

Document = dict[str, Any]
_UNITS = {"m": 1e-3, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40, "k": 1e3, "M": 1e6, "G": 1e9}
ZONE = "topology.kubernetes.io/zone"


def quantity(text: str | int) -> float:
    """Read an amount such as 500m or 2Gi."""
    for unit, factor in _UNITS.items():
        if str(text).endswith(unit):
            return float(str(text).removesuffix(unit)) * factor
    return float(text)


def selects(selector: Document, labels: Document) -> bool:
    """Whether a label selector takes these labels."""
    listed = (labels.get(one["key"]) in one["values"] for one in selector.get("matchExpressions", ()))
    return selector.get("matchLabels", {}).items() <= labels.items() and all(listed)


def choose(pod: Document, nodes: list[Document], pods: list[Document]) -> str | None:
    """Name the node for a pod; None where none has room."""
    fitting = [node for node in nodes if _fits(pod["spec"], node, pods)]
    if not fitting:
        return None
    zones = {node["metadata"]["name"]: node["metadata"]["labels"].get(ZONE) for node in nodes}
    labels = pod["metadata"]["labels"]
    rules = [one for one in pod["spec"].get("topologySpreadConstraints", ()) if one["topologyKey"] == ZONE]
    like = [one for one in pods if rules and selects(rules[0]["labelSelector"], one["metadata"]["labels"])]
    like = [one for one in like if rules and selects(rules[0]["labelSelector"], labels)]

    def load(node: Document) -> tuple[int, int, str]:
        name = node["metadata"]["name"]
        in_zone = sum(zones.get(one["spec"].get("nodeName")) == zones[name] for one in like)
        return in_zone, sum(one["spec"].get("nodeName") == name for one in pods), name

    return str(min(fitting, key=load)["metadata"]["name"])


def _fits(spec: Document, node: Document, pods: list[Document]) -> bool:
    if (
        node["spec"].get("unschedulable")
        or not spec.get("nodeSelector", {}).items() <= node["metadata"]["labels"].items()
    ):
        return False
    for taint in node["spec"].get("taints", ()):
        if not any(_tolerates(one, taint) for one in spec.get("tolerations", ())):
            return False
    here = [one["spec"] for one in pods if one["spec"].get("nodeName") == node["metadata"]["name"]]
    return all(
        quantity(has) >= sum(_asked(one, resource) for one in (*here, spec))
        for resource, has in node["status"]["allocatable"].items()
    ) and all(name in node["status"]["allocatable"] for name in _names(spec))


def _tolerates(toleration: Document, taint: Document) -> bool:
    if toleration.get("effect", taint["effect"]) != taint["effect"]:
        return False
    if toleration.get("operator", "Equal") == "Exists":
        return toleration.get("key", taint["key"]) == taint["key"]
    return (toleration.get("key"), toleration.get("value", "")) == (taint["key"], taint.get("value", ""))


def _names(spec: Document) -> set[str]:
    return {name for one in spec["containers"] for name in one.get("resources", {}).get("requests", {})}


def _asked(spec: Document, resource: str) -> float:
    return sum(quantity(one.get("resources", {}).get("requests", {}).get(resource, 0)) for one in spec["containers"])
