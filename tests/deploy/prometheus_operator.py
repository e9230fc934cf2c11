"""What the Prometheus operator makes of our monitors (which labels targets get), and its kinds' own models.

Labels as in https://prometheus-operator.dev/docs/developer/getting-started/ and the operator's functions
`generateServiceMonitorConfig` and `generatePodMonitorConfig`. Models: cloudcoil's, generated from the operator's
CustomResourceDefinitions.
"""

from collections.abc import Iterator
from typing import Any

from pydantic import ValidationError

Document = dict[str, Any]


def job_labels(documents: list[Document]) -> dict[str, str]:
    """The `job` of what each kind of monitor finds."""
    service, pod = _monitor(documents, "ServiceMonitor"), _monitor(documents, "PodMonitor")
    assert "jobLabel" not in service["spec"]
    assert "jobLabel" not in pod["spec"]
    return {
        "ServiceMonitor": str(_service(documents, service)["metadata"]["name"]),
        "PodMonitor": f"{pod['metadata']['namespace']}/{pod['metadata']['name']}",
    }


def target_labels(documents: list[Document]) -> dict[str, str]:
    """The labels of one gateway's pod, as the operator's relabelling of a ServiceMonitor makes them."""
    monitor = _monitor(documents, "ServiceMonitor")
    service = _service(documents, monitor)
    [endpoint] = monitor["spec"]["endpoints"]
    return {
        "job": job_labels(documents)["ServiceMonitor"],
        "namespace": service["metadata"]["namespace"],
        "service": service["metadata"]["name"],
        "pod": "moegate-gateway-6c9d8f7b5-x2x4z",
        "container": "gateway",
        "endpoint": endpoint["port"],
        "instance": "10.0.3.7:8000",
    }


def errors(document: Document) -> list[str]:
    """What is wrong with one of the operator's objects; fields that its model does not know are wrong."""
    from cloudcoil.models.prometheus_operator import v1

    try:
        model = getattr(v1, document["kind"]).model_validate(document)
    except ValidationError as error:
        return [f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors()]
    return list(_unknown(document["spec"], model.model_dump(by_alias=True, exclude_unset=True)["spec"], "spec"))


def _unknown(given: Any, kept: Any, place: str) -> Iterator[str]:
    """A model keeps what it knows: what is missing of what was given is unknown to it."""
    if isinstance(given, dict):
        for key, value in given.items():
            if key in kept:
                yield from _unknown(value, kept[key], f"{place}.{key}")
            else:
                yield f"{place}.{key}: unknown"
    elif isinstance(given, list):
        for at, value in enumerate(given):
            yield from _unknown(value, kept[at], f"{place}.{at}")


def _monitor(documents: list[Document], kind: str) -> Document:
    [found] = [d for d in documents if d["kind"] == kind]
    return found


def _service(documents: list[Document], monitor: Document) -> Document:
    wanted = monitor["spec"]["selector"]["matchLabels"].items()
    [found] = [d for d in documents if d["kind"] == "Service" and wanted <= d["metadata"]["labels"].items()]
    return found
