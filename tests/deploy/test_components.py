"""What an overlay may take in (Gateway API, TLS), and what stands beside it (nodes, neuron-monitor)."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy import custom_kinds, kustomize
from tests.deploy.test_chart import alike, needs_helm, template
from tests.deploy.test_hardening import EXCUSED, Traffic, _pod, complaints
from tests.deploy.test_manifests import K8S, of_kind
from tests.fakes.cluster.kinds import mistakes
from tests.fakes.cluster.scheduler import choose

KUBECTL = os.environ.get("KUBECTL") or shutil.which("kubectl")
needs_kubectl = pytest.mark.skipif(KUBECTL is None, reason="kubectl is not installed (make helm)")
PARENTS = [{"name": "YOUR-GATEWAY", "namespace": "YOUR-GATEWAY-NAMESPACE"}]
SAME = {
    "gateway-api": {"gatewayApi": {"enabled": True, "parents": PARENTS}},
    "tls": {"tls": {"secret": "moegate-tls", "issuer": {"name": "YOUR-ISSUER"}}},
}
BESIDE = {
    "karpenter": {"karpenter": {"enabled": True, "ami": "al2023@YOUR-RELEASE", "role": "YOUR-NODE-ROLE"}},
    "neuron-monitor": {"neuronMonitor": {"enabled": True}},
}


def with_component(name: str, folder: Path, overlay: str = "cpu") -> Path:
    """An overlay of ours that takes a component in, as a reader would write it."""
    shutil.copytree(K8S.parent / "grafana", folder / "grafana")
    shutil.copytree(K8S, folder / "k8s")
    file = folder / "k8s" / "overlays" / overlay / "kustomization.yaml"
    file.write_text(f"{file.read_text()}components: [../../components/{name}]\n")
    return file.parent


def theirs(folder: Path) -> list[dict[str, Any]]:
    command = [str(KUBECTL), "kustomize", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return list(yaml.safe_load_all(done.stdout))


@pytest.mark.parametrize("name", SAME)
def test_every_object_is_valid_and_hard(name: str, tmp_path: Path) -> None:
    for document in kustomize.render(with_component(name, tmp_path)):
        assert mistakes(document) == []
        assert complaints(document) == []


@needs_kubectl
@pytest.mark.parametrize("name", SAME)
def test_kubectl_says_the_same(name: str, tmp_path: Path) -> None:
    folder = with_component(name, tmp_path)
    assert by_order(alike(theirs(folder))) == by_order(alike(kustomize.render(folder)))


@needs_helm
@pytest.mark.parametrize("name", SAME)
def test_the_chart_says_the_same(name: str, tmp_path: Path) -> None:
    ours = by_order(alike(kustomize.render(with_component(name, tmp_path))))
    made = by_order(alike(template("cpu", SAME[name], tmp_path)))
    for one in (ours, made):  # text here, written by hand there; a test of the chart compares them
        del one["RayService", "moegate-experts"]["spec"]["serveConfigV2"]
    assert made == ours


def by_order(made: dict[tuple[str, str], dict[str, Any]]) -> dict[tuple[str, str], dict[str, Any]]:
    """Lists that are maps by name, in one order: each tool adds at another end."""
    pod = made["Deployment", "moegate-gateway"]["spec"]["template"]["spec"]
    pod["volumes"].sort(key=lambda one: one["name"])
    pod["containers"][0]["env"].sort(key=lambda one: one["name"])
    pod["containers"][0]["volumeMounts"].sort(key=lambda one: one["name"])
    return made


@needs_helm
@pytest.mark.parametrize("name", BESIDE)
def test_what_stands_beside_is_the_chart_s_too(name: str, tmp_path: Path) -> None:
    ours = kustomize.render(K8S / name)
    plain = set(alike(template("neuron", {}, tmp_path)))
    made = {key: one for key, one in alike(template("neuron", BESIDE[name], tmp_path)).items() if key not in plain}
    assert made == alike(ours)
    assert [line for document in ours for line in mistakes(document)] == []


def test_routes_lead_to_the_service_s_ports(tmp_path: Path) -> None:
    documents = kustomize.render(with_component("gateway-api", tmp_path))
    ports = {one["port"]: one["appProtocol"] for one in of_kind(documents, "Service")["spec"]["ports"]}
    led = {}
    for kind in ("HTTPRoute", "GRPCRoute"):
        [rule] = of_kind(documents, kind)["spec"]["rules"]
        [backend] = rule["backendRefs"]
        assert backend["name"] == of_kind(documents, "Service")["metadata"]["name"]
        led[kind] = ports[backend["port"]]
    assert led == {"HTTPRoute": "http", "GRPCRoute": "kubernetes.io/h2c"}
    hosts = [of_kind(documents, kind)["spec"]["hostnames"] for kind in ("HTTPRoute", "GRPCRoute")]
    assert not set(hosts[0]) & set(hosts[1])  # on one listener a name may belong to routes of one kind alone


def test_with_tls_everybody_who_asks_speaks_it(tmp_path: Path) -> None:
    documents = kustomize.render(with_component("tls", tmp_path))
    [container] = of_kind(documents, "Deployment")["spec"]["template"]["spec"]["containers"]
    assert {container[f"{one}Probe"]["httpGet"]["scheme"] for one in ("startup", "readiness", "liveness")} == {"HTTPS"}
    monitor = of_kind(documents, "ServiceMonitor")["spec"]["endpoints"][0]
    certificate = of_kind(documents, "Certificate")["spec"]
    assert monitor["scheme"] == "https"
    assert monitor["tlsConfig"]["serverName"] in certificate["dnsNames"]
    [mount] = [one for one in container["volumeMounts"] if one["name"] == "tls"]
    env = {one["name"]: one["value"] for one in container["env"] if one["name"].startswith("MOEGATE_TLS")}
    assert set(env) == {"MOEGATE_TLS__CERTIFICATE", "MOEGATE_TLS__KEY"}
    assert all(value.startswith(mount["mountPath"]) for value in env.values())


def test_karpenter_gives_nodes_for_what_the_overlays_ask() -> None:
    pools = {
        one["metadata"]["name"]: one["spec"] for one in kustomize.render(K8S / "karpenter") if "template" in one["spec"]
    }
    for overlay, pool in (("cpu", "moegate-cpu"), ("neuron", "moegate-neuron")):
        cluster = of_kind(kustomize.render(K8S / "overlays" / overlay), "RayService")["spec"]["rayClusterConfig"]
        [group] = cluster["workerGroupSpecs"]
        pod = {**group["template"], "metadata": {"labels": {}}}
        spec = pools[pool]["template"]["spec"]
        assert choose(pod, [node(spec, room={"cpu": "192", "memory": "768Gi", "aws.amazon.com/neuroncore": "24"})], [])
    asked = int(group["template"]["spec"]["containers"][0]["resources"]["limits"]["aws.amazon.com/neuroncore"])
    assert pools["moegate-neuron"]["limits"]["aws.amazon.com/neuroncore"] == asked * group["maxReplicas"]
    gateway = of_kind(kustomize.render(K8S / "overlays" / "cpu"), "Deployment")["spec"]["template"]
    room = {"cpu": "16", "memory": "64Gi"}
    assert choose(gateway, [node(pools["moegate-cpu"]["template"]["spec"], room=room)], [])
    assert not choose(gateway, [node(pools["moegate-neuron"]["template"]["spec"], room=room)], [])  # tainted


def node(spec: dict[str, Any], room: dict[str, str]) -> dict[str, Any]:
    """A node as a pool would make it."""
    [instances] = [one["values"] for one in spec["requirements"] if one["key"] == "node.kubernetes.io/instance-type"]
    labels = {"node.kubernetes.io/instance-type": instances[0]}
    meta = {"name": "n", "labels": labels}
    return {"metadata": meta, "spec": {"taints": spec.get("taints", [])}, "status": {"allocatable": room}}


def test_no_ami_moves() -> None:
    [made] = [one for one in kustomize.render(K8S / "karpenter") if one["kind"] == "EC2NodeClass"]
    assert all("latest" not in term["alias"] for term in made["spec"]["amiSelectorTerms"])


def test_the_monitor_of_cores_is_excused_for_what_it_does_and_no_more() -> None:
    documents = kustomize.render(K8S / "neuron-monitor")
    daemon = of_kind(documents, "DaemonSet")
    assert set(_pod(daemon["spec"]["template"])) == EXCUSED["neuron-monitor"]
    assert {one["metadata"].get("namespace", "neuron-monitor") for one in documents} == {"neuron-monitor"}
    monitor, service = of_kind(documents, "ServiceMonitor"), of_kind(documents, "Service")
    assert monitor["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    assert monitor["spec"]["endpoints"][0]["port"] in {one["name"] for one in service["spec"]["ports"]}
    traffic = Traffic(documents)
    assert traffic.enters({}, 8000, {"namespace": "monitoring"})
    assert not traffic.enters({}, 8000, {"namespace": "default"})
    assert not traffic.leaves({}, 443, {"ip": "52.216.0.1"})


@pytest.mark.parametrize(
    ("kind", "wrong"),
    [
        ("HTTPRoute", {"rules": [{"backendRef": []}]}),
        ("GRPCRoute", {"rules": [{"backendRefs": [{"name": "x", "port": 0}]}]}),
        ("NodePool", {"template": {"spec": {"requirements": []}}}),
        ("NodePool", {"template": {"spec": {}}, "disruption": {"consolidateAfter": "soon"}}),
        ("EC2NodeClass", {"amiSelectorTerms": [], "subnetSelectorTerms": [], "securityGroupSelectorTerms": []}),
        ("Certificate", {"secretName": "x"}),
    ],
)
def test_the_schemas_refuse_what_is_wrong(kind: str, wrong: dict[str, Any]) -> None:
    [version] = [one[0] for one in custom_kinds.KINDS if one[1] == kind]
    assert custom_kinds.errors({"apiVersion": version, "kind": kind, "metadata": {"name": "x"}, "spec": wrong})
