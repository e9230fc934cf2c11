"""What a linter of clusters asks: every pod that we make, and who may speak to whom."""

import itertools
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from experts.cluster.manifests import OVERLAYS
from experts.training.trainium_job import main as trainium_job
from tests.deploy import kustomize
from tests.deploy.test_manifests import K8S, of_kind

Document = dict[str, Any]
PROBED = {"gateway"}  # KubeRay puts probes of its own into Ray's pods; a job has none
ROOT_WRITABLE = {
    "train"
}  # the Neuron compiler and torchrun write where they like; nobody has run them on a read-only root
EXCUSED = {
    "neuron-monitor": {  # it reads the host's devices, as AWS's own manifest has it, in a namespace of its own
        "may run as root",
        "neuron-monitor: may gain privileges",
        "neuron-monitor: keeps capabilities",
        "neuron-monitor: its root can be written",
    }
}


def templates(document: Document) -> Iterator[Document]:
    """The pods that an object makes."""
    match document["kind"]:
        case "Deployment" | "Job" | "DaemonSet":
            yield document["spec"]["template"]
        case "CronJob":
            yield document["spec"]["jobTemplate"]["spec"]["template"]
        case "RayService":
            cluster = document["spec"]["rayClusterConfig"]
            yield cluster["headGroupSpec"]["template"]
            yield from (group["template"] for group in cluster["workerGroupSpecs"])


def complaints(document: Document) -> list[str]:
    """What is wrong with an object's pods, one line each."""
    excused = EXCUSED.get(document["metadata"]["name"], set())
    return [line for template in templates(document) for line in _pod(template) if line not in excused]


def _pod(template: Document) -> Iterator[str]:
    spec = template["spec"]
    context = spec.get("securityContext", {})
    if context.get("runAsNonRoot") is not True or not context.get("runAsUser"):
        yield "may run as root"
    if context.get("seccompProfile") != {"type": "RuntimeDefault"}:
        yield "no seccomp profile"
    if any(spec.get(name) for name in ("hostNetwork", "hostPID", "hostIPC")):
        yield "shares the host's namespaces"
    if any("hostPath" in volume for volume in spec.get("volumes", ())):
        yield "mounts the host's files"
    if spec.get("serviceAccountName", "default") == "default":
        yield "has the default service account"
    unlimited = [v["name"] for v in spec.get("volumes", ()) if "emptyDir" in v and "sizeLimit" not in v["emptyDir"]]
    yield from (f"volume {name} has no limit" for name in unlimited)
    for container in (*spec["containers"], *spec.get("initContainers", ())):
        yield from (f"{container['name']}: {line}" for line in _container(container))


def _container(container: Document) -> Iterator[str]:
    name, context = container["name"], container.get("securityContext", {})
    _, _, tag = container["image"].rpartition(":")
    if not tag or tag == "latest" or not tag[0].isdigit():
        yield f"image {container['image']} moves"
    resources = container.get("resources", {})
    for kind, resource in itertools.product(("requests", "limits"), ("cpu", "memory")):
        if resource not in resources.get(kind, {}):
            yield f"no {kind}.{resource}"
    if context.get("allowPrivilegeEscalation") is not False or context.get("privileged"):
        yield "may gain privileges"
    if context.get("capabilities") != {"drop": ["ALL"]}:
        yield "keeps capabilities"
    if context.get("readOnlyRootFilesystem") is not True and name not in ROOT_WRITABLE:
        yield "its root can be written"
    yield from _lacks(container)


def _lacks(container: Document) -> Iterator[str]:
    name = container["name"]
    if name in PROBED and not {"livenessProbe", "readinessProbe", "startupProbe"} <= set(container):
        yield "lacks a probe"
    if any("value" in one and _is_secret(one["name"]) for one in container.get("env", ())):
        yield "a secret stands in the environment's values"


def _is_secret(name: str) -> bool:
    return any(word in name for word in ("SECRET", "TOKEN", "PASSWORD", "ACCESS_KEY"))


@pytest.fixture(params=list(OVERLAYS))
def documents(request: pytest.FixtureRequest) -> list[Document]:
    return kustomize.render(K8S / "overlays" / request.param)


@pytest.fixture
def job(capsys: pytest.CaptureFixture[str]) -> Document:
    assert trainium_job(["coder", "--nodes", "32", "--bucket", "s3://b"]) == 0
    [found] = [d for d in yaml.safe_load_all(capsys.readouterr().out) if d["kind"] == "Job"]
    return dict(found)


def test_nothing_is_wrong_with_any_pod(documents: list[Document], job: Document) -> None:
    made = [document for document in (*documents, job) if list(templates(document))]
    assert {document["kind"] for document in made} == {"Deployment", "RayService", "Job"}
    assert {d["metadata"]["name"]: complaints(d) for d in made} == {d["metadata"]["name"]: [] for d in made}


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda pod: pod["containers"][0].update(image="moegate/gateway:latest"), "gateway: image .* moves"),
        (lambda pod: pod["containers"][0].update(image="moegate/gateway"), "gateway: image .* moves"),
        (lambda pod: pod["securityContext"].update(runAsUser=0), "may run as root"),
        (lambda pod: pod["containers"][0]["resources"].pop("limits"), "gateway: no limits.cpu"),
        (lambda pod: pod["containers"][0].pop("livenessProbe"), "gateway: lacks a probe"),
        (lambda pod: pod["containers"][0]["securityContext"].pop("readOnlyRootFilesystem"), "root can be written"),
        (lambda pod: pod["containers"][0]["env"].append({"name": "HF_TOKEN", "value": "x"}), "a secret stands"),
        (lambda pod: pod["volumes"].append({"name": "x", "hostPath": {"path": "/"}}), "mounts the host"),
    ],
)
def test_each_fault_is_found(spoil: Any, told: str, documents: list[Document]) -> None:
    deployment = of_kind(documents, "Deployment")
    spoil(deployment["spec"]["template"]["spec"])
    import re

    assert [line for line in complaints(deployment) if re.search(told, line)]


def test_what_a_disruption_or_a_zone_may_take_is_bounded(documents: list[Document]) -> None:
    budgets = {d["metadata"]["name"]: d["spec"] for d in documents if d["kind"] == "PodDisruptionBudget"}
    for document in documents:
        for template in templates(document):
            labels = template["metadata"]["labels"].items()
            assert [b for b in budgets.values() if b["selector"]["matchLabels"].items() <= labels]
    pods = [of_kind(documents, "Deployment")["spec"]["template"]]
    pods += [g["template"] for g in of_kind(documents, "RayService")["spec"]["rayClusterConfig"]["workerGroupSpecs"]]
    for template in pods:
        zones = [one for one in template["spec"]["topologySpreadConstraints"] if one["topologyKey"].endswith("/zone")]
        assert zones
        assert zones[0]["labelSelector"]["matchLabels"].items() <= template["metadata"]["labels"].items()
    assert of_kind(documents, "HorizontalPodAutoscaler")["spec"]["minReplicas"] >= 2


class Traffic:
    """Who may speak to whom, by the rules of NetworkPolicy: what any policy of a pod allows is allowed."""

    def __init__(self, documents: list[Document]) -> None:
        self._policies = [d["spec"] for d in documents if d["kind"] == "NetworkPolicy"]

    def leaves(self, labels: Document, port: int, to: Document) -> bool:
        """May a pod of these labels connect to a peer (its `labels`, `namespace` or `ip`) at a port?"""
        return self._allowed(labels, "Egress", "egress", "to", port, to)

    def enters(self, labels: Document, port: int, of: Document) -> bool:
        return self._allowed(labels, "Ingress", "ingress", "from", port, of)

    def _allowed(self, labels: Document, kind: str, rules: str, peers: str, port: int, other: Document) -> bool:
        mine = [p for p in self._policies if kind in p["policyTypes"] and _selects(p["podSelector"], labels)]
        assert mine, "under no policy: everything would be allowed"
        return any(
            (not rule.get("ports") or port in [one["port"] for one in rule["ports"]])
            and (peers not in rule or any(_is_peer(one, other) for one in rule[peers]))
            for policy in mine
            for rule in policy.get(rules, ())
        )


def _selects(selector: Document, labels: Document) -> bool:
    wanted = selector.get("matchLabels", {}).items() <= labels.items()
    listed = (labels.get(one["key"]) in one["values"] for one in selector.get("matchExpressions", ()))
    return wanted and all(listed)


def _is_peer(peer: Document, other: Document) -> bool:
    if "ipBlock" in peer:
        return peer["ipBlock"]["cidr"].partition("/")[0] == other.get("ip")
    if "namespaceSelector" in peer:
        here = {"kubernetes.io/metadata.name": other.get("namespace")}
        return _selects(peer["namespaceSelector"], here) and _selects(
            peer.get("podSelector", {}), other.get("labels", {})
        )
    return "namespace" not in other and "labels" in other and _selects(peer["podSelector"], other["labels"])


def test_what_is_used_passes_and_nothing_else(documents: list[Document], job: Document) -> None:
    traffic = Traffic(documents)
    gateway = of_kind(documents, "Deployment")["spec"]["template"]["metadata"]["labels"]
    cluster = of_kind(documents, "RayService")["spec"]["rayClusterConfig"]
    experts = cluster["headGroupSpec"]["template"]["metadata"]["labels"]
    training = job["spec"]["template"]["metadata"]["labels"]
    internet, pod_identity = {"ip": "52.216.0.1"}, {"ip": "169.254.170.23"}
    for labels in (gateway, experts, training):
        assert traffic.leaves(labels, 443, internet)  # S3
        assert traffic.leaves(labels, 80, pod_identity)
        assert not traffic.leaves(labels, 80, internet)
        assert not traffic.leaves(labels, 22, internet)
        assert traffic.leaves(labels, 53, {"namespace": "kube-system"})
        assert traffic.leaves(labels, 53, {"ip": "169.254.20.10"})
    assert traffic.leaves(gateway, 9000, {"labels": experts})
    assert traffic.enters(experts, 9000, {"labels": gateway})
    assert not traffic.leaves(gateway, 8265, {"labels": experts})
    assert not traffic.enters(experts, 8265, {"labels": gateway})
    assert traffic.leaves(gateway, 6379, {"labels": {"app.kubernetes.io/name": "redis"}})
    assert traffic.leaves(gateway, 6379, {"namespace": "redis", "labels": {}})
    assert traffic.leaves(gateway, 4317, {"namespace": "opentelemetry"})
    assert not traffic.leaves(experts, 6379, {"labels": {"app.kubernetes.io/name": "redis"}})
    assert traffic.enters(gateway, 8000, {"namespace": "ingress-nginx"})
    assert traffic.enters(experts, 8080, {"namespace": "monitoring"})
    assert not traffic.enters(experts, 9000, {"namespace": "default", "labels": {}})
    assert traffic.leaves(experts, 6379, {"labels": experts})  # GCS: Ray to itself, at any port
    assert traffic.leaves(training, 29500, {"labels": training})
    assert not traffic.enters(training, 29500, {"labels": experts})
    assert not traffic.leaves(training, 9000, {"labels": experts})


def test_the_gateway_can_write_what_it_keeps(documents: list[Document]) -> None:
    [container] = of_kind(documents, "Deployment")["spec"]["template"]["spec"]["containers"]
    mounted = {mount["mountPath"] for mount in container["volumeMounts"] if not mount.get("readOnly")}
    env = {one["name"]: one.get("value") for one in container["env"]}
    assert {env["XDG_STATE_HOME"], env["XDG_CACHE_HOME"], "/tmp"} == mounted
