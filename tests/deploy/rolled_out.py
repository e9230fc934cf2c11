"""A copy of the checkout, kubectl and helm as they are, and a stand-in for the cluster that they speak to.

`Site.run` carries out what docs/deploy.md says under a heading, line by line, with the names filled in that a reader
would fill in. What no test has at hand (docker, aws, kustomize, EKS) is left out, or done by a few lines here.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from tests.fakes.cluster.api import Cluster
from tests.fakes.cluster.scheduler import ZONE

ROOT = Path(__file__).resolve().parents[2]
KUBECTL = os.environ.get("KUBECTL") or shutil.which("kubectl")
HELM = os.environ.get("HELM") or shutil.which("helm")
ZONES = ("us-east-1a", "us-east-1b", "us-east-1c")
_KUSTOMIZE = """#!{python}
import sys, yaml
content = yaml.safe_load(open("kustomization.yaml"))
for word in sys.argv[4:]:
    name, _, image = word.partition("=")
    entry = next(one for one in content["images"] if one["name"] == name)
    entry["newName"], _, entry["newTag"] = image.rpartition(":")
yaml.safe_dump(content, open("kustomization.yaml", "w"), sort_keys=False)
"""
_AWS = """#!{python}
import sys, s3fs
_, _, verb, source, target = sys.argv
assert verb == "sync"
files = s3fs.S3FileSystem()
source, target = (one.removeprefix("s3://") for one in (source, target))
for path in files.find(source):
    files.pipe_file(target + path.removeprefix(source), files.cat_file(path))
"""


def blocks(heading: str, kind: str = "sh") -> str:
    """The blocks of a kind under a heading of docs/deploy.md, up to the next heading."""
    found, here, inside = [], False, False
    for line in (ROOT / "docs" / "deploy.md").read_text().splitlines(keepends=True):
        if line.startswith("```"):
            inside = line == f"```{kind}\n" and here
        elif inside:
            found.append(line)
        elif line.startswith("#"):
            here = line.lstrip("# ").rstrip() == heading
    return "".join(found)


def yaml_blocks(heading: str) -> list[dict[str, Any]]:
    """What its YAML says."""
    return [one for one in yaml.safe_load_all(blocks(heading, "yaml")) if one]


class Site:
    """Somebody's checkout and cluster."""

    def __init__(self, folder: Path) -> None:
        self.cluster = Cluster()
        self.checkout = folder / "checkout"
        self._home = folder
        ignored = shutil.ignore_patterns("__pycache__", "seeds")
        for name in ("deploy", "experts", "protos", "router", "serve"):
            shutil.copytree(ROOT / name, self.checkout / name, ignore=ignored, symlinks=True)
        (folder / "kubeconfig").write_text(self.cluster.kubeconfig())
        self._programs()
        self.sh("git init -q && git add -A && git -c user.name=a -c user.email=a@b commit -qm one && git tag TAG")

    def _programs(self) -> None:
        folder = self._home / "bin"
        folder.mkdir()
        (folder / "kubectl").symlink_to(str(KUBECTL))
        if HELM:
            (folder / "helm").symlink_to(HELM)
        for name in ("python", "python3"):
            (folder / name).write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
        (folder / "moegate").write_text(f'#!/bin/sh\nexec {sys.executable} -m serve.cli "$@"\n')
        (folder / "kustomize").write_text(_KUSTOMIZE.format(python=sys.executable))
        if shutil.which("aws") is None:
            (folder / "aws").write_text(_AWS.format(python=sys.executable))
        for file in folder.iterdir():
            if not file.is_symlink():
                file.chmod(0o755)

    def sh(self, script: str, *, is_good: bool = True) -> str:
        """Run a script in the checkout; return what it printed."""
        env = {**os.environ, "HOME": str(self._home), "KUBECONFIG": str(self._home / "kubeconfig")}
        env |= {"PATH": f"{self._home / 'bin'}:{os.environ['PATH']}", "PYTHONPATH": str(self.checkout)}
        command = ["bash", "-euo", "pipefail", "-c", script]
        done = subprocess.run(command, cwd=self.checkout, env=env, capture_output=True, text=True, check=False)
        assert (done.returncode == 0) is is_good, f"{script}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        return done.stdout + done.stderr

    def run(self, heading: str, given: dict[str, str] | None = None, *, only: str = "", without: str = "") -> str:
        """Carry out the page's commands under a heading: those that `only` matches and `without` does not."""
        lines = re.sub(r"\\\n", " ", blocks(heading)).splitlines()
        lines = [line for line in lines if re.search(only, line) and not (without and re.search(without, line))]
        assert any(line.strip() and not line.startswith("#") for line in lines), heading
        script = "\n".join(lines)
        for word, value in {"OVERLAY": "cpu", **(given or {})}.items():
            script = re.sub(rf"\b{word}\b", value, script)
        return self.sh(script)

    def node(self, name: str, zone: str, instance: str = "m7i.4xlarge", **room: str) -> None:
        """Let a node join."""
        labels = {ZONE: zone, "kubernetes.io/hostname": name, "node.kubernetes.io/instance-type": instance}
        allocatable = {"cpu": "16", "memory": "64Gi", **{key.replace("_", "/"): value for key, value in room.items()}}
        taints = [{"key": "aws.amazon.com/neuron", "value": "true", "effect": "NoSchedule"}]
        made = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels}}
        spec = {"taints": taints} if instance.startswith("inf2") else {}
        self.cluster.store.create({**made, "spec": spec, "status": {"allocatable": allocatable}})

    def pods(self, component: str) -> list[dict[str, object]]:
        """The pods of one side: `gateway` or `experts`."""
        found = self.cluster.store.all("Pod", "moegate")
        return [one for one in found if one["metadata"]["labels"].get("app.kubernetes.io/component") == component]

    def zones(self, component: str) -> list[str | None]:
        """Where its pods are."""
        nodes = {one["metadata"]["name"]: one["metadata"]["labels"][ZONE] for one in self.cluster.store.all("Node")}
        return [nodes.get(pod["spec"].get("nodeName")) for pod in self.pods(component)]  # type: ignore[attr-defined]

    def images(self, component: str) -> set[str]:
        """What its pods run."""
        return {str(pod["spec"]["containers"][0]["image"]) for pod in self.pods(component)}  # type: ignore[index]

    def served(self) -> dict[str, str]:
        """Each application's status, as KubeRay tells it."""
        [service] = self.cluster.store.all("RayService")
        statuses = service["status"]["activeServiceStatus"]["applicationStatuses"]
        return {name: one["status"] for name, one in statuses.items()}

    def told(self) -> dict[str, dict[str, object]]:
        """What Ray Serve was told to serve, by application."""
        [service] = self.cluster.store.all("RayService")
        return {one["name"]: one for one in yaml.safe_load(service["spec"]["serveConfigV2"])["applications"]}


def cpu_site(folder: Path) -> Site:
    """A site with two nodes in each of three zones."""
    site = Site(folder)
    for at, zone in enumerate(ZONES * 2):
        site.node(f"node-{at}", zone)
    return site


def neuron_site(folder: Path) -> Site:
    """The same, and two inf2.48xlarge."""
    site = cpu_site(folder)
    for at, zone in enumerate(ZONES[:2]):
        site.node(
            f"inf2-{at}", zone, "inf2.48xlarge", **{"aws.amazon.com_neuroncore": "24", "cpu": "192", "memory": "768Gi"}
        )
    return site
