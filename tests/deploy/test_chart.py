"""The Helm chart brings what kustomize brings, and what its values change is valid, too."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from experts.cluster.chart import CHART, ChartWrong, chart_templates
from experts.cluster.manifests import OVERLAYS
from serve.settings.flywheel_policy import load_policies
from serve.settings.tree import load_settings
from tests.deploy import kustomize
from tests.deploy.test_hardening import Traffic, complaints, templates
from tests.fakes.cluster.kinds import mistakes

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
HELM = os.environ.get("HELM") or shutil.which("helm")
needs_helm = pytest.mark.skipif(HELM is None, reason="no helm (make helm)")
_CONTEXT = {"runAsNonRoot": True, "runAsUser": 10001, "seccompProfile": {"type": "RuntimeDefault"}}
_RESOURCES = {"cpu": "8", "memory": "12Gi"}
MORE = {
    "groupName": "graviton",
    "replicas": 1,
    "minReplicas": 1,
    "maxReplicas": 2,
    "rayStartParams": {},
    "template": {
        "metadata": {"labels": {"app.kubernetes.io/component": "experts"}},
        "spec": {
            "serviceAccountName": "moegate-experts",
            "securityContext": _CONTEXT,
            "containers": [
                {
                    "name": "ray-worker",
                    "image": "moegate/expert-cpu:0.1.0",
                    "resources": {"requests": _RESOURCES, "limits": _RESOURCES},
                    "securityContext": {
                        "allowPrivilegeEscalation": False,
                        "readOnlyRootFilesystem": True,
                        "capabilities": {"drop": ["ALL"]},
                    },
                }
            ],
        },
    },
}
VALUES: dict[str, dict[str, Any]] = {
    "as they are": {},
    "a registry": {"images": {"registry": "1.dkr.ecr.us-east-1.amazonaws.com", "tag": "0.1.1"}},
    "an ingress": {
        "ingress": {
            "enabled": True,
            "className": "alb",
            "host": "m.example.org",
            "tlsSecret": "t",
            "annotations": {"a": "b"},
        }
    },
    "a larger gateway": {
        "gateway": {
            "minReplicas": 3,
            "maxReplicas": 30,
            "resources": {"requests": {"cpu": "2", "memory": "1Gi"}, "limits": {"cpu": "4", "memory": "2Gi"}},
            "settings": {"remote": {"router": "s3://b/router.npz"}, "access": {"redis_url": "redis://redis:6379"}},
            "keysSecret": "other-keys",
            "serviceAnnotations": {"x": "z"},
        }
    },
    "more experts": {
        "experts": {
            "minWorkers": 2,
            "maxWorkers": {"cpu": 9, "neuron": 9},
            "accountAnnotations": {"k": "v"},
            "moreWorkerGroups": [MORE],
        }
    },
    "TLS from cert-manager": {
        "tls": {"secret": "t", "issuer": {"kind": "Issuer", "name": "own"}, "hosts": ["m.example.org"]}
    },
    "TLS from a Secret": {"tls": {"secret": "t"}},
    "routes of the Gateway API": {
        "gatewayApi": {
            "enabled": True,
            "parents": [{"name": "public", "namespace": "gateways"}],
            "host": "m.example.org",
        }
    },
    "nodes by Karpenter": {
        "karpenter": {"enabled": True, "ami": "al2023@v20260828", "role": "nodes", "discovery": "c"}
    },
    "a monitor of NeuronCores": {"neuronMonitor": {"enabled": True}},
    "a flywheel": {
        "flywheel": {
            "enabled": True,
            "schedule": "0 5 * * 1",
            "settings": {"interactions": {"target": "s3://b/kept"}},
            "policy": {"experts": {"coder": {"promote": "better"}}},
        }
    },
    "a way out": {
        "networkPolicy": {
            "gatewayEgress": [
                {"to": [{"ipBlock": {"cidr": "10.1.0.0/16"}}], "ports": [{"protocol": "TCP", "port": 6380}]}
            ]
        }
    },
}


def template(target: str, values: dict[str, Any], folder: Path) -> list[dict[str, Any]]:
    (folder / "values.yaml").write_text(yaml.safe_dump({"target": target, **values}))
    command = [str(HELM), "template", "moegate", str(DEPLOY / CHART), "--namespace", "moegate"]
    command += ["--kube-version", "1.34.0", "--values", str(folder / "values.yaml")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [document for document in yaml.safe_load_all(done.stdout) if document]


def alike(documents: list[dict[str, Any]]) -> dict[tuple[str, str], dict[str, Any]]:
    """Documents by kind and name, without what the two tools do in their own ways.

    kustomize hashes a ConfigMap's content into its name so that pods follow it, Helm puts a checksum beside them; Helm
    leaves the namespace to its release.
    """
    text = re.sub(r"(moegate-(?:gateway|catalog))-[0-9a-z]{10}\b", r"\1", json.dumps(documents))
    made = [one for one in json.loads(text) if one["kind"] != "Namespace"]
    for document in made:
        document["metadata"].setdefault("namespace", "moegate")
        for pod in templates(document):
            pod["metadata"].pop("annotations", None)
    return {(one["kind"], one["metadata"]["name"]): one for one in made}


@needs_helm
@pytest.mark.parametrize("target", list(OVERLAYS))
def test_the_chart_is_the_overlay(target: str, tmp_path: Path) -> None:
    ours = alike(kustomize.render(DEPLOY / "k8s" / "overlays" / target))
    theirs = alike(template(target, {}, tmp_path))
    for document in ours.values():  # written by hand there, passed on as text here
        if document["kind"] == "RayService":
            key = ("RayService", document["metadata"]["name"])
            assert yaml.safe_load(theirs[key]["spec"].pop("serveConfigV2")) == yaml.safe_load(
                document["spec"].pop("serveConfigV2")
            )
    assert theirs == ours


@needs_helm
@pytest.mark.parametrize("values", VALUES.values(), ids=VALUES)
@pytest.mark.parametrize("target", list(OVERLAYS))
def test_with_any_values_every_object_is_valid_and_hard(target: str, values: dict[str, Any], tmp_path: Path) -> None:
    documents = template(target, values, tmp_path)
    assert {one["metadata"]["name"]: mistakes(one) for one in documents if mistakes(one)} == {}
    assert {one["metadata"]["name"]: complaints(one) for one in documents if complaints(one)} == {}


@needs_helm
def test_values_reach_what_they_name(tmp_path: Path) -> None:
    def made(name: str, target: str = "cpu") -> dict[tuple[str, str], dict[str, Any]]:
        return alike(template(target, VALUES[name], tmp_path))

    images = re.findall(r'"image": "([^"]+)"', json.dumps(list(made("a registry", "neuron").values())))
    assert set(images) == {
        f"1.dkr.ecr.us-east-1.amazonaws.com/moegate/{name}:0.1.1" for name in ("gateway", "expert-neuron")
    }
    larger = made("a larger gateway")
    (tmp_path / "gateway.yaml").write_text(larger["ConfigMap", "moegate-gateway"]["data"]["gateway.yaml"])
    settings = load_settings(tmp_path / "gateway.yaml")
    assert (settings.remote.router, settings.access.redis_url) == ("s3://b/router.npz", "redis://redis:6379")
    assert settings.experts.target == "moegate-experts-serve-svc:9000"  # what the values do not say stays
    scaler = larger["HorizontalPodAutoscaler", "moegate-gateway"]["spec"]
    assert (scaler["minReplicas"], scaler["maxReplicas"]) == (3, 30)
    ingress = made("an ingress")["Ingress", "moegate-gateway"]["spec"]
    assert (ingress["ingressClassName"], ingress["tls"][0]["secretName"]) == ("alb", "t")
    more = Traffic(list(made("a way out").values()))
    labels = {"app.kubernetes.io/name": "moegate-gateway", "app.kubernetes.io/component": "gateway"}
    assert more.leaves(labels, 6380, {"ip": "10.1.0.0"})
    workers = made("more experts")["RayService", "moegate-experts"]["spec"]["rayClusterConfig"]["workerGroupSpecs"]
    assert (workers[0]["minReplicas"], workers[0]["maxReplicas"]) == (2, 9)
    assert workers[1:] == [MORE]


@needs_helm
def test_what_is_missing_is_asked_for(tmp_path: Path) -> None:
    for values, words in (("gatewayApi.enabled=true", "name your Gateway"), ("karpenter.enabled=true", "al2023@v")):
        command = [str(HELM), "template", "m", str(DEPLOY / CHART), "--kube-version", "1.34.0", "--set", values]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode != 0
        assert words in done.stderr


@needs_helm
def test_the_flywheel_is_the_manifests_with_its_values(tmp_path: Path) -> None:
    key = ("CronJob", "moegate-flywheel")
    assert key not in alike(template("cpu", {}, tmp_path))
    made = alike(template("cpu", VALUES["a flywheel"], tmp_path))
    theirs = made[key]["spec"]
    [ours] = [one for one in kustomize.render(DEPLOY / "k8s" / "flywheel") if one["kind"] == "CronJob"]
    assert theirs["schedule"] == "0 5 * * 1"
    assert (
        theirs["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]["args"]
        == (ours["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]["args"])
    )
    data = made["ConfigMap", "moegate-flywheel"]["data"]
    for name in ("gateway.yaml", "policy.yaml"):
        (tmp_path / name).write_text(data[name])
    settings = load_settings(tmp_path / "gateway.yaml")
    assert (settings.interactions.target, settings.feedback.target) == (
        "s3://b/kept",
        "s3://YOUR-BUCKET/moegate/ratings",
    )
    policies = load_policies(tmp_path / "policy.yaml")
    assert (policies.of("coder").promote, policies.of("advisor").curate.train) == ("better", 200)


@needs_helm
def test_a_changed_setting_or_catalogue_rolls_the_gateways(tmp_path: Path) -> None:
    def sums(values: dict[str, Any], target: str) -> dict[str, str]:
        [deployment] = [d for d in template(target, values, tmp_path) if d["kind"] == "Deployment"]
        found: dict[str, str] = deployment["spec"]["template"]["metadata"]["annotations"]
        return found

    before, settings, catalog = sums({}, "cpu"), sums(VALUES["a larger gateway"], "cpu"), sums({}, "neuron")
    assert before["checksum/settings"] != settings["checksum/settings"]
    assert before["checksum/catalog"] != catalog["checksum/catalog"]


@needs_helm
def test_helm_lints_and_refuses_a_target_that_is_none(tmp_path: Path) -> None:
    done = subprocess.run(
        [str(HELM), "lint", "--strict", str(DEPLOY / CHART)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
    command = [str(HELM), "template", "m", str(DEPLOY / CHART), "--set", "target=gpu", "--kube-version", "1.34.0"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "target: cpu or neuron" in done.stderr


def test_a_manifest_that_lost_a_place_is_told(tmp_path: Path) -> None:
    shutil.copytree(DEPLOY / "k8s", tmp_path / "k8s")
    file = tmp_path / "k8s" / "base" / "autoscaling.yaml"
    file.write_text(file.read_text().replace("maxReplicas: 10", "maxReplicas: 12"))
    with pytest.raises(ChartWrong, match=r"autoscaling.yaml: has 'maxReplicas: 10' 0 times, the chart replaces 1"):
        chart_templates(tmp_path, "")


def test_chart_and_values_have_the_project_s_version() -> None:
    chart = yaml.safe_load((DEPLOY / CHART / "Chart.yaml").read_text())
    values = yaml.safe_load((DEPLOY / CHART / "values.yaml").read_text())
    version = re.search(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text(), re.M)
    assert version is not None
    assert {chart["version"], chart["appVersion"], values["images"]["tag"]} == {version[1]}
