"""The manifests: current, rendered, valid, and fit to run: no moving tag, no root, no missing limit."""

import importlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from prometheus_client import CollectorRegistry

from experts.catalog.encoders import DEFAULT_ENCODER, ENCODER_APPLICATION
from experts.catalog.secret import VARIABLE
from experts.catalog.spec import CatalogError, ExpertSpec, load_catalog
from experts.cluster.deployment_options import SERVICER
from experts.cluster.encoder_application import ENCODER_SERVICER
from experts.cluster.manifests import OVERLAYS, add_canary, check_no_copies, main, render, serve_config
from experts.cluster.site_settings import SiteWrong
from experts.engines.factory import check_engine
from experts.retrieval.qdrant_store import API_KEY
from experts.training import trainium_job
from serve.settings.tree import load_settings
from serve.telemetry.metrics import Metrics
from tests.deploy import crd, kustomize

ROOT = Path(__file__).resolve().parents[2]
K8S = ROOT / "deploy" / "k8s"
VERSION = "1.34"
OWN = {"RayService", "ServiceMonitor", "PodMonitor", "PrometheusRule"}  # kinds that Kubernetes does not bring


@pytest.fixture(params=list(OVERLAYS))
def overlay(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def documents(overlay: str) -> list[dict[str, Any]]:
    return kustomize.render(K8S / "overlays" / overlay)


def of_kind(documents: list[dict[str, Any]], kind: str, name: str | None = None) -> dict[str, Any]:
    [found] = [d for d in documents if d["kind"] == kind and name in (None, d["metadata"]["name"])]
    return found


def pods(documents: list[dict[str, Any]]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every pod that is made, by its container's name."""
    gateway = of_kind(documents, "Deployment")["spec"]["template"]
    cluster = of_kind(documents, "RayService")["spec"]["rayClusterConfig"]
    for template in (gateway, cluster["headGroupSpec"]["template"], cluster["workerGroupSpecs"][0]["template"]):
        yield template["spec"]["containers"][0]["name"], template["spec"]


def test_no_cluster_pays_for_copies_of_one_model() -> None:
    for file in OVERLAYS.values():
        check_no_copies(load_catalog(ROOT / "deploy" / file))
    catalog = load_catalog(ROOT / "deploy" / OVERLAYS["neuron"])
    assert all(spec.adapter for spec in catalog.experts)
    untuned = tuple(spec.model_copy(update={"adapter": None}) for spec in catalog.experts)
    with pytest.raises(CatalogError, match="'researcher' and 'coder' have the same weights"):
        check_no_copies(catalog.model_copy(update={"experts": untuned}))


def test_what_is_generated_is_current(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--check"]) == 0, capsys.readouterr().err


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed")
def test_our_renderer_says_what_kubectl_says(overlay: str, documents: list[dict[str, Any]]) -> None:
    command = ["kubectl", "kustomize", str(K8S / "overlays" / overlay)]
    theirs = yaml.safe_load_all(subprocess.run(command, check=True, capture_output=True, text=True).stdout)

    def key(document: dict[str, Any]) -> tuple[str, str]:
        return document["kind"], document["metadata"]["name"]

    assert sorted(documents, key=key) == sorted(theirs, key=key)


def test_kubernetes_own_kinds_are_valid(documents: list[dict[str, Any]]) -> None:
    checked = [d for d in documents if d["kind"] not in OWN]
    for document in checked:
        kubernetes_validate.validate(document, VERSION, strict=True)
    assert {d["kind"] for d in checked} == {
        "ConfigMap",
        "Deployment",
        "HorizontalPodAutoscaler",
        "Namespace",
        "NetworkPolicy",
        "PodDisruptionBudget",
        "Service",
        "ServiceAccount",
    }


def test_both_sides_take_the_experts_secret_from_one_place(documents: list[dict[str, Any]]) -> None:
    places = {}
    for name, pod in pods(documents):
        [entry] = [entry for entry in pod["containers"][0]["env"] if entry["name"] == VARIABLE]
        places[name] = entry["valueFrom"]
    assert set(places) == {"gateway", "ray-head", "ray-worker"}
    assert list(places.values()) == [{"secretKeyRef": {"name": "moegate-experts", "key": "secret"}}] * 3
    assert of_kind(documents, "RayService")["spec"]["rayClusterConfig"]["authOptions"] == {"mode": "token"}
    assert not [document for document in documents if document["kind"] == "Secret"]  # none stands in the repository


@pytest.mark.skipif(not crd.FILE.is_file(), reason="KubeRay's CRD is not at hand (MOEGATE_SCHEMAS names its folder)")
def test_the_ray_service_is_valid(documents: list[dict[str, Any]]) -> None:
    service = of_kind(documents, "RayService")
    assert crd.errors(service) == []
    service["spec"]["rayClusterConfig"]["headGroupSpec"]["templates"] = {}
    service["spec"]["rayClusterConfig"]["workerGroupSpecs"][0]["maxReplicas"] = "three"
    assert len(crd.errors(service)) == 2


@pytest.mark.parametrize("name", ["researcher", "tool-caller"])
@pytest.mark.skipif(not crd.FILE.is_file(), reason="KubeRay's CRD is not at hand (MOEGATE_SCHEMAS names its folder)")
def test_the_status_that_the_rollout_waits_for_exists(documents: list[dict[str, Any]], name: str) -> None:
    service = of_kind(documents, "RayService")
    service["status"] = {"activeServiceStatus": {"applicationStatuses": {name: {"status": "RUNNING"}}}}
    assert crd.errors(service) == []


@pytest.mark.slow
def test_ray_serve_takes_the_configuration(overlay: str) -> None:
    schema = pytest.importorskip("ray.serve.schema")
    catalog = load_catalog(ROOT / "deploy" / OVERLAYS[overlay])
    deployed = schema.ServeDeploySchema.model_validate(serve_config(catalog))
    assert [application.name for application in deployed.applications] == list(catalog.names)
    assert len({application.route_prefix for application in deployed.applications}) == len(catalog.names)


@pytest.fixture
def with_encoder(tmp_path: Path) -> Path:
    """A copy of deploy/ whose site has an encoder that searches collections in a bucket."""
    shutil.copytree(ROOT / "deploy", tmp_path / "deploy")
    site = tmp_path / "deploy" / "k8s" / "site.yaml"
    site.write_text(f"{site.read_text()}encoder: {{collections: s3://bucket/collections, replicas: 2}}\n")
    return tmp_path / "deploy"


@pytest.mark.slow
def test_the_encoder_is_one_more_application(overlay: str, with_encoder: Path) -> None:
    schema = pytest.importorskip("ray.serve.schema")
    files = render(with_encoder, [overlay])
    folder = with_encoder / "k8s" / "overlays" / overlay / "generated"
    told = yaml.safe_load(yaml.safe_load(files[folder / "serve-config.yaml"])["spec"]["serveConfigV2"])
    deployed = schema.ServeDeploySchema.model_validate(told)
    assert set(told["grpc_options"]["grpc_servicer_functions"]) == {SERVICER, ENCODER_SERVICER}
    [encoder] = [one for one in deployed.applications if one.name == ENCODER_APPLICATION]
    assert encoder.args == {"base": DEFAULT_ENCODER, "collections": "s3://bucket/collections"}
    [deployment] = encoder.deployments
    application = importlib.import_module(encoder.import_path.partition(":")[0]).build_encoder(encoder.args)
    assert (deployment.name, deployment.num_replicas) == (application._bound_deployment.name, 2)
    nodes = deployment.ray_actor_options.resources or {}
    assert set(nodes) == ({"cpu_image"} if overlay == "neuron" else set())
    without = serve_config(load_catalog(ROOT / "deploy" / OVERLAYS[overlay]))
    assert told["applications"][:-1] == without["applications"]
    assert without["grpc_options"]["grpc_servicer_functions"] == [SERVICER]


def test_gateways_that_ask_for_an_encoder_need_one_in_the_cluster(with_encoder: Path) -> None:
    settings = with_encoder / "k8s" / "base" / "settings.yaml"
    settings.write_text(f"{settings.read_text()}encoder: {{enabled: true}}\nretrieval: {{enabled: true}}\n")
    render(with_encoder, ["cpu"])
    shutil.copy(K8S / "site.yaml", with_encoder / "k8s" / "site.yaml")
    with pytest.raises(SiteWrong, match="encoder: enabled, and site"):
        render(with_encoder, ["cpu"])


def test_experts_may_speak_to_qdrant_and_are_given_its_key(documents: list[dict[str, Any]]) -> None:
    policy = of_kind(documents, "NetworkPolicy", "experts")["spec"]
    [rule] = [one for one in policy["egress"] if "ports" in one]
    assert rule["ports"] == [{"protocol": "TCP", "port": 6333}]
    for name, pod in pods(documents):
        if name != "gateway":
            env = {one["name"]: one for one in pod["containers"][0]["env"]}
            assert env[API_KEY]["valueFrom"]["secretKeyRef"] == {
                "name": "moegate-qdrant",
                "key": "key",
                "optional": True,
            }


def test_each_application_gets_its_whole_entry(overlay: str, documents: list[dict[str, Any]]) -> None:
    catalog = load_catalog(ROOT / "deploy" / OVERLAYS[overlay])
    told = yaml.safe_load(of_kind(documents, "RayService")["spec"]["serveConfigV2"])
    specs = [ExpertSpec.model_validate(application["args"]["spec"]) for application in told["applications"]]
    assert tuple(specs) == catalog.experts
    for spec in specs:
        check_engine(spec)
    [text] = next(d for d in documents if d["metadata"]["name"].startswith("moegate-catalog-"))["data"].values()
    assert yaml.safe_load(text) == yaml.safe_load(
        (K8S / "overlays" / overlay / "generated" / "experts.yaml").read_text()
    )


def test_ray_s_ports_are_named_as_kuberay_wants(documents: list[dict[str, Any]]) -> None:
    for name, pod in pods(documents):
        ports = {port["name"]: port["containerPort"] for port in pod["containers"][0]["ports"]}
        if name != "gateway":
            assert (ports["serve"], ports["serve-grpc"], ports["metrics"]) == (8000, 9000, 8080)


def test_a_neuron_pod_asks_for_what_ray_tells_its_autoscaler() -> None:
    cluster = of_kind(kustomize.render(K8S / "overlays" / "neuron"), "RayService")["spec"]["rayClusterConfig"]
    [group] = cluster["workerGroupSpecs"]
    [container] = group["template"]["spec"]["containers"]
    cores = int(container["resources"]["limits"]["aws.amazon.com/neuroncore"])
    assert yaml.safe_load(yaml.safe_load(group["rayStartParams"]["resources"])) == {"neuron_cores": cores}
    assert group["rayStartParams"]["num-cpus"] == container["resources"]["limits"]["cpu"]
    wanted = [e.resources.custom["neuron_cores"] for e in load_catalog(ROOT / "deploy" / "experts.neuron.yaml").experts]
    assert all(cores % need == 0 for need in wanted)  # replicas fill a node, their cores are neighbours
    at_least = sum(
        e.resources.custom["neuron_cores"] * e.scaling.min_replicas
        for e in load_catalog(ROOT / "deploy" / "experts.neuron.yaml").experts
    )
    assert at_least <= cores * group["minReplicas"]


def test_the_gateway_s_settings_are_its_own_words(documents: list[dict[str, Any]], tmp_path: Path) -> None:
    [data] = [d["data"] for d in documents if d["metadata"]["name"].startswith("moegate-gateway-") and "data" in d]
    (tmp_path / "gateway.yaml").write_text(data["gateway.yaml"])
    settings = load_settings(tmp_path / "gateway.yaml")
    service = of_kind(documents, "RayService")["metadata"]["name"]
    assert settings.experts.target == f"{service}-serve-svc:9000"
    pod = of_kind(documents, "Deployment")["spec"]["template"]["spec"]
    assert pod["terminationGracePeriodSeconds"] > settings.shutdown_grace_s + 5
    mounts = {mount["mountPath"] for mount in pod["containers"][0]["volumeMounts"]}
    assert str(settings.experts.catalog).rpartition("/")[0] in mounts
    assert str(settings.access.keys_file).rpartition("/")[0] in mounts


def test_scaling_and_monitoring_name_what_exists(documents: list[dict[str, Any]]) -> None:
    registry = CollectorRegistry()
    Metrics(registry)
    names = {family.name for family in registry.collect()}
    scaler = of_kind(documents, "HorizontalPodAutoscaler")["spec"]
    assert scaler["metrics"][0]["pods"]["metric"]["name"] in names
    assert scaler["scaleTargetRef"]["name"] == of_kind(documents, "Deployment")["metadata"]["name"]
    service = of_kind(documents, "Service")
    monitor = of_kind(documents, "ServiceMonitor")["spec"]
    assert monitor["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    assert monitor["endpoints"][0]["port"] in {port["name"] for port in service["spec"]["ports"]}
    labels = of_kind(documents, "Deployment")["spec"]["template"]["metadata"]["labels"]
    assert service["spec"]["selector"].items() <= labels.items()


def test_the_cluster_has_nodes_for_what_the_manifests_ask() -> None:
    """deploy/eksctl.yaml beside the neuron overlay: instance, taint, number of nodes, service account."""
    cluster = yaml.safe_load((ROOT / "deploy" / "eksctl.yaml").read_text())
    assert cluster["metadata"]["version"] == VERSION
    [nodes] = [group for group in cluster["managedNodeGroups"] if group["name"] == "neuron"]
    service = of_kind(kustomize.render(K8S / "overlays" / "neuron"), "RayService")["spec"]["rayClusterConfig"]
    [workers] = service["workerGroupSpecs"]
    pod = workers["template"]["spec"]
    assert pod["nodeSelector"] == {"node.kubernetes.io/instance-type": nodes["instanceType"]}
    [taint] = nodes["taints"]
    assert {key: taint[key] for key in ("key", "effect")}.items() <= pod["tolerations"][0].items()
    assert nodes["desiredCapacity"] >= workers["minReplicas"]
    assert nodes["maxSize"] == workers["maxReplicas"]
    identities = [one["serviceAccountName"] for one in cluster["iam"]["podIdentityAssociations"]]
    assert identities == [pod["serviceAccountName"], "moegate-gateway", trainium_job.ACCOUNT]


def test_a_canary_is_the_same_entry_with_another_artefact() -> None:
    catalog = load_catalog(ROOT / "deploy" / "experts.neuron.yaml")
    grown = add_canary(catalog, "coder=s3://bucket/coder-2@0.05")
    canary, coder = grown.get("coder-canary"), grown.get("coder")
    assert canary is not None
    assert coder is not None
    assert (canary.canary_of, canary.canary_share) == ("coder", 0.05)
    assert canary.engine_options == {**coder.engine_options, "artifact": "s3://bucket/coder-2"}
    assert (canary.context_window, canary.system_prompt, canary.scaling.max_replicas) == (4096, coder.system_prompt, 1)
    assert catalog.experts == grown.experts[:-1]
    on_cpu = add_canary(load_catalog(ROOT / "deploy" / "experts.yaml"), "coder=adapters/coder-2@.1").get("coder-canary")
    assert on_cpu is not None
    assert on_cpu.adapter == "adapters/coder-2"


@pytest.mark.parametrize("text", ["coder", "coder=x@5", "nobody=x@0.1", "coder=@0.1"])
def test_a_canary_of_nothing_is_refused(text: str) -> None:
    with pytest.raises(CatalogError, match="EXPERT=ARTIFACT@SHARE"):
        add_canary(load_catalog(ROOT / "deploy" / "experts.neuron.yaml"), text)


def test_prices_agree_wherever_they_stand() -> None:
    prices = ROOT / "deploy" / "prices.yaml"
    if not prices.is_file():
        pytest.skip("there is no deploy/prices.yaml")
    theirs = yaml.safe_load(prices.read_text())["instances"]
    ours = yaml.safe_load((ROOT / "deploy" / "instances.yaml").read_text())["instances"]
    for name in set(ours) & set(theirs):
        assert ours[name]["usd_per_hour"] == theirs[name]["usd_per_hour"], name


class Kubectl:
    """A kubectl that writes down what it is asked, and answers `diff` as told."""

    def __init__(self, folder: Path) -> None:
        self.log = folder / "calls"
        self.folder = folder
        script = folder / "kubectl"
        script.write_text(f'#!/bin/sh\nprintf "%s\\n" "$*" >> {self.log}\n[ "$1" != diff ] || exit "${{DIFF:-1}}"\n')
        script.chmod(0o755)

    def rollout(self, *arguments: str, diff: int = 1) -> subprocess.CompletedProcess[str]:
        environment = {
            "PATH": f"{self.folder}:{os.environ['PATH']}",
            "DIFF": str(diff),
            "PYTHON": shutil.which("true") or "",
        }
        return subprocess.run(
            ["bash", str(K8S / "rollout.sh"), *arguments], env=environment, capture_output=True, text=True, check=False
        )


def test_a_rollout_applies_and_waits_for_ray_then_the_gateway(tmp_path: Path) -> None:
    kubectl = Kubectl(tmp_path)
    assert kubectl.rollout("cpu").returncode == 0
    assert [line.split()[0] for line in kubectl.log.read_text().splitlines()][:2] == ["diff", "apply"]
    last = kubectl.log.read_text().splitlines()[-2:]
    assert "rayservice/moegate-experts --for=condition=Ready" in last[0]
    assert "rollout status deployment/moegate-gateway" in last[1]


def test_a_rollout_with_a_canary_makes_waits_for_and_ends_it(tmp_path: Path) -> None:
    """The script as it is, on a copy of the checkout; only kubectl is a stand-in."""
    for folder in ("deploy", "experts", "protos"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    kubectl = Kubectl(tmp_path)
    rollout = ["bash", str(tmp_path / "deploy" / "k8s" / "rollout.sh"), "neuron"]
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "DIFF": "1", "PYTHON": sys.executable}
    generated = tmp_path / "deploy" / "k8s" / "overlays" / "neuron" / "generated" / "serve-config.yaml"
    before = generated.read_text()
    subprocess.run([*rollout, "--canary", "coder=s3://bucket/coder-2@0.05"], env=environment, check=True)
    told = yaml.safe_load(yaml.safe_load(generated.read_text())["spec"]["serveConfigV2"])
    canary = told["applications"][-1]
    assert (canary["name"], canary["args"]["spec"]["canary_share"]) == ("coder-canary", 0.05)
    assert canary["args"]["spec"]["engine_options"]["artifact"] == "s3://bucket/coder-2"
    assert "applicationStatuses.coder-canary.status}=RUNNING" in kubectl.log.read_text()
    subprocess.run(rollout, env=environment, check=True)
    assert generated.read_text() == before


def test_a_rollout_stops_when_kubectl_fails(tmp_path: Path) -> None:
    kubectl = Kubectl(tmp_path)
    assert kubectl.rollout("cpu", diff=2).returncode != 0
    assert "apply" not in kubectl.log.read_text()
    assert "say which overlay" in kubectl.rollout().stderr
