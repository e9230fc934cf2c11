"""Each image is built out of what its Dockerfile copies, and started: as nobody, on a read-only root, answering.

Without Docker, in Linux's own namespaces (tests/deploy/containers.py). What needs AWS's package repository (the Neuron
image) is built as far as moegate's own wheel.
"""

import json
import re
import subprocess
import sys
import tomllib
import zipfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import yaml

import serve
from tests.deploy import kustomize
from tests.deploy.containers import CannotBuild, Image, build, copied, copy_into, instructions, why_not

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
BUILT = ("gateway", "expert-cpu")
WITH_WHEEL = ("gateway", "expert-cpu", "expert-neuron")
LOCKED = ("build", "gateway", "expert-cpu")
EXTRAS = {
    "gateway": ("otel", "redis", "guard", "remote"),
    "expert-cpu": ("cpu", "encoder", "upstream", "remote", "retrieval", "qdrant"),
}
KEY, TOKEN, SECRET = "sk-test-0123456789", "t" * 64, "s" * 32
OFFLINE = re.compile(r"Temporary failure|NewConnectionError|No matching distribution|Could not fetch|timed out", re.I)


def project() -> dict[str, Any]:
    found: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
    return found


def pins(name: str) -> dict[str, str]:
    text = (DEPLOY / "requirements" / f"{name}.txt").read_text()
    return dict(re.findall(r"^([a-z0-9][\w.-]*)==([^\s;\\]+)", text, re.M))


@pytest.mark.parametrize("name", LOCKED)
def test_every_locked_version_is_the_one_that_is_tested_and_has_hashes(name: str) -> None:
    tested = dict(line.split("==") for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line)
    tested = {re.sub(r"[-_.]+", "-", key).lower(): version for key, version in tested.items()}
    locked = pins(name)
    both = set(locked) & set(tested)
    assert {key: locked[key] for key in both} == {key: tested[key] for key in both}
    text = (DEPLOY / "requirements" / f"{name}.txt").read_text()
    entries = re.split(r"^(?=[a-z0-9])", text, flags=re.M)[1:]
    assert all("--hash=sha256:" in entry for entry in entries)
    assert "://" not in text


@pytest.mark.parametrize("name", BUILT)
def test_the_lock_has_everything_that_the_project_asks_for(name: str) -> None:
    content = project()["project"]
    extras = content["optional-dependencies"]
    wanted = [*content["dependencies"], *(one for extra in EXTRAS[name] for one in extras[extra])]
    names = {re.sub(r"[-_.]+", "-", re.split(r"[\[<>=! ;]", one)[0]).lower() for one in wanted} - {"moegate"}
    assert names <= set(pins(name))


def test_a_hub_s_models_can_be_fetched_in_a_pod() -> None:
    """`hf:` bases: the client is in the image, its cache on a volume, its token in a Secret that need not be there."""
    assert "huggingface-hub" in pins("expert-cpu")
    documents = kustomize.render(DEPLOY / "k8s" / "overlays" / "cpu")
    env = {one["name"]: one for one in container(documents, "RayService")["env"]}
    assert env["HF_TOKEN"]["valueFrom"]["secretKeyRef"]["optional"] is True
    assert f"{env['HOME']['value']}/.cache" in writable(documents, "RayService")


def test_one_version_for_all() -> None:
    version = project()["project"]["version"]
    told = {serve.__version__}
    for file in DEPLOY.glob("Dockerfile.*"):
        told |= set(re.findall(r'image\.version="([^"]+)"', file.read_text()))
        told |= set(re.findall(r"^FROM moegate/\S+:(\S+)", file.read_text(), re.M))
    for overlay in ("cpu", "neuron"):
        for document in kustomize.render(DEPLOY / "k8s" / "overlays" / overlay):
            told |= set(re.findall(r"moegate/[a-z-]+:([\w.]+)", json.dumps(document)))
    assert told == {version}


@pytest.mark.slow
@pytest.mark.parametrize("name", WITH_WHEEL)
def test_the_wheel_is_made_of_what_is_copied(name: str, tmp_path: Path) -> None:
    pytest.importorskip("hatchling", reason="needs hatchling")
    file = DEPLOY / f"Dockerfile.{name}"
    for sources, target in copied(file):
        copy_into(sources, tmp_path / "src" / target, is_folder=target.endswith("/"))
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path / "wheels")]
    done = subprocess.run(command, cwd=tmp_path / "src", capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    [wheel] = (tmp_path / "wheels").glob("moegate-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    assert {f"experts/_deploy/{one}.yaml" for one in ("experts", "prices", "instances")} <= names
    assert {"serve/cli.py", "experts/adapters/coder/adapter_model.safetensors"} <= names
    packages = project()["tool"]["hatch"]["build"]["targets"]["wheel"]["only-include"]
    assert set(packages) == {one.partition("/")[0] for one in names if ".dist-info" not in one}
    assert "router/artifacts/router.npz" in names


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Image]:
    if reason := why_not():
        pytest.skip(reason)
    folder = tmp_path_factory.mktemp("images")
    one = {"--all": "generalist"}  # of the five experts: the others are made in the same way

    def made(name: str) -> Image:
        return build(DEPLOY / f"Dockerfile.{name}", folder / name, one)

    try:
        with ThreadPoolExecutor() as pool:
            return dict(zip(BUILT, pool.map(made, BUILT), strict=True))
    except CannotBuild as error:
        if OFFLINE.search(str(error)):
            pytest.skip("no package registry can be reached")
        raise


def container(documents: list[dict[str, Any]], kind: str) -> dict[str, Any]:
    [found] = [d for d in documents if d["kind"] == kind]
    spec = found["spec"] if kind == "Deployment" else found["spec"]["rayClusterConfig"]["headGroupSpec"]
    made: dict[str, Any] = spec["template"]["spec"]["containers"][0]
    return made


def writable(documents: list[dict[str, Any]], kind: str) -> list[str]:
    return [mount["mountPath"] for mount in container(documents, kind)["volumeMounts"] if not mount.get("readOnly")]


@pytest.mark.images
def test_both_images_answer_as_their_pods_start_them(images: dict[str, Image], tmp_path: Path) -> None:
    documents = kustomize.render(DEPLOY / "k8s" / "overlays" / "cpu")
    plan: dict[str, Any] = {"token": TOKEN, "key": KEY, "marks": ["raylet", "moegate gateway", "ServeReplica"]}
    plan["expert"] = expert(images["expert-cpu"], documents, tmp_path)
    plan["gateway"] = gateway(images["gateway"], documents, tmp_path)
    plan |= served(documents)
    (tmp_path / "plan.json").write_text(json.dumps(plan))
    node = ["unshare", "--net", "--pid", "--mount", "--mount-proc", "--fork", "--kill-child"]
    node += [sys.executable, "-m", "tests.deploy.one_node", str(tmp_path)]
    done = subprocess.run(node, cwd=ROOT, capture_output=True, text=True, check=False)
    logs = "\n".join(log.read_text()[-3000:] for log in tmp_path.glob("*.log"))
    assert done.returncode == 0, done.stderr[-2000:] + logs
    seen = json.loads(done.stdout.splitlines()[-1])
    assert seen["deploy"] == 200
    assert seen["without_key"] == 401
    assert seen["users"] == {mark: ["10001"] for mark in plan["marks"]}
    for name in plan["experts"]:
        status, answer = seen[name]
        assert status == 200, answer
        assert answer["usage"]["completion_tokens"] > 0
        assert answer["model"] == name
    assert seen["stopped"] == 0, logs


@pytest.mark.images
@pytest.mark.parametrize("name", BUILT)
def test_nothing_can_be_written_beside_the_mounts(name: str, images: dict[str, Image], tmp_path: Path) -> None:
    image = replace(images[name], user="0:0")  # not even by root
    tried = "touch /opt/moegate/x; touch /usr/x; touch /tmp/x && echo written"
    command, settings = image.command(tmp_path / "s", ["/bin/sh", "-c", tried], read_only=True, writable=["/tmp"])
    done = subprocess.run(command, env=settings, capture_output=True, text=True, check=False)
    assert done.stdout == "written\n"
    assert done.stderr.count("Read-only file system") == 2, done.stderr


@pytest.mark.images
@pytest.mark.parametrize("name", BUILT)
def test_the_list_of_what_is_inside_names_all_of_it(name: str, images: dict[str, Image]) -> None:
    sbom = json.loads((images[name].upper / "opt" / "moegate" / "sbom.cdx.json").read_text())
    assert sbom["bomFormat"] == "CycloneDX"
    found = {one["name"].lower().replace("_", "-").replace(".", "-"): one["version"] for one in sbom["components"]}
    for package, version in pins(name).items():
        assert found.get(package.replace(".", "-")) == version, package
    assert found["moegate"] == project()["project"]["version"]
    assert images[name].labels["org.opencontainers.image.version"] == found["moegate"]


def expert(image: Image, documents: list[dict[str, Any]], folder: Path) -> dict[str, Any]:
    """The head's container as KubeRay starts it, on this machine's two cores."""
    given = {one["name"]: one.get("value", SECRET) for one in container(documents, "RayService")["env"]}
    given |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": TOKEN}
    argv = "ulimit -n 65536; exec ray start --head --block --dashboard-host=0.0.0.0 --metrics-export-port=8080"
    argv += " --num-cpus=2 --node-ip-address=127.0.0.1 --object-store-memory=100000000"
    mounts = writable(documents, "RayService")
    command, settings = image.command(
        folder / "expert", ["/bin/bash", "-c", argv], env=given, writable=mounts, read_only=True
    )
    return {"command": command, "settings": settings}


def gateway(image: Image, documents: list[dict[str, Any]], folder: Path) -> dict[str, Any]:
    """The gateway's container, with the ConfigMaps and the Secret that its pod mounts."""
    keys = {"keys": [{"name": "a", "sha256": sha256(KEY.encode()).hexdigest()}]}
    mounted = {}
    for name, content in (*config_maps(documents), ("keys", {"keys.yaml": yaml.safe_dump(keys)})):
        (folder / name).mkdir()
        mounted[folder / name] = f"/etc/moegate/{name}"
        for file, text in content.items():
            (folder / name / file).write_text(text)
    given = {one["name"]: one.get("value", SECRET) for one in container(documents, "Deployment")["env"]}
    given |= {"MOEGATE_EXPERTS__TARGET": "127.0.0.1:9000", "MOEGATE_HTTP__PORT": "8002"}  # Ray Serve has 8000 here
    argv = [*image.entrypoint, *container(documents, "Deployment")["args"]]
    mounts = writable(documents, "Deployment")
    command, settings = image.command(
        folder / "gateway-s", argv, env=given, writable=mounts, mounted=mounted, read_only=True
    )
    return {"command": command, "settings": settings}


def config_maps(documents: list[dict[str, Any]]) -> list[tuple[str, dict[str, str]]]:
    maps = [d for d in documents if d["kind"] == "ConfigMap" and "data" in d]
    found = {d["metadata"]["name"].rpartition("-")[0]: d["data"] for d in maps}
    return [("gateway", found["moegate-gateway"]), ("catalog", found["moegate-catalog"])]


def served(documents: list[dict[str, Any]]) -> dict[str, Any]:
    """What KubeRay hands to Ray Serve: of the five experts one with its weights, the others echo."""
    [service] = [d for d in documents if d["kind"] == "RayService"]
    config = yaml.safe_load(service["spec"]["serveConfigV2"])
    for application in config["applications"]:
        if application["name"] != "generalist":
            application["args"]["spec"] |= {"engine": "echo"}
    return {"serve_config": config, "experts": [one["name"] for one in config["applications"]]}


def test_a_dockerfile_is_read_as_docker_reads_it() -> None:
    read = list(instructions(DEPLOY / "Dockerfile.gateway"))
    assert [verb for verb, _ in read].count("FROM") == 2
    assert ("CMD", '["gateway", "--host", "0.0.0.0"]') in read
    assert all("\\" not in rest for _, rest in read)
