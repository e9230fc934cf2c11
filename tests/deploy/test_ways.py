"""The ways of docs/deploy.md, command by command: real kubectl and helm against a stand-in that keeps state."""

import base64
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from serve.feedback.object_ratings import ObjectRatings
from serve.feedback.rating import Rating
from tests.deploy.rolled_out import HELM, KUBECTL, ROOT, ZONES, Site, cpu_site, neuron_site, yaml_blocks
from tests.fakes.cluster.controllers import is_ready
from tests.fakes.cluster.kinds import BY_NAME
from tests.fakes.s3 import BUCKET, s3_bucket

pytestmark = [pytest.mark.slow, pytest.mark.skipif(KUBECTL is None, reason="kubectl is not installed (make helm)")]
EXPERTS = {"researcher", "coder", "advisor", "tool-caller", "generalist"}
PIN = "a" * 64
AFTERWARDS = "port-forward|curl|helm|label namespace|manifests"  # what needs containers, and the way with Helm


@pytest.fixture(scope="module")
def cpu(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A cluster as section 5 of the page leaves it; each test leaves it so."""
    site = cpu_site(tmp_path_factory.mktemp("cpu"))
    site.run("5. Roll out", without=AFTERWARDS)
    yield site
    site.cluster.stop()


@pytest.fixture(scope="module")
def neuron(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    site = neuron_site(tmp_path_factory.mktemp("neuron"))
    site.run("5. Roll out", given={"OVERLAY": "neuron"}, without=AFTERWARDS)
    yield site
    site.cluster.stop()


def all_ready(site: Site) -> bool:
    return all(map(is_ready, site.cluster.store.all("Pod")))


@pytest.mark.parametrize("name", ["cpu", "neuron"])
def test_rolled_out_everything_runs_in_every_zone(name: str, request: pytest.FixtureRequest) -> None:
    site: Site = request.getfixturevalue(name)
    assert all_ready(site)
    assert site.served() == dict.fromkeys(EXPERTS, "RUNNING")
    assert len(site.pods("gateway")) == 2
    assert len(set(site.zones("gateway"))) == 2
    workers = [one["spec"] for one in site.pods("experts") if "ray-worker" in str(one["spec"])]
    assert all((str(one["nodeName"]).startswith("inf2")) is (name == "neuron") for one in workers)  # type: ignore[index]


def test_a_second_rollout_changes_nothing(cpu: Site) -> None:
    before = {one["metadata"]["uid"] for one in cpu.cluster.store.all("Pod")}
    out = cpu.sh("deploy/k8s/rollout.sh cpu")
    assert "rayservice.ray.io/moegate-experts unchanged" in out
    assert {one["metadata"]["uid"] for one in cpu.cluster.store.all("Pod")} == before


def test_an_upgrade_moves_over_and_a_rollback_comes_back(cpu: Site) -> None:
    given = {"REGISTRY": "registry.example.org", "VERSION": "0.1.1"}
    cpu.run("Upgrade", given)
    assert cpu.images("gateway") == {"registry.example.org/moegate/gateway:0.1.1"}
    assert cpu.images("experts") == {"registry.example.org/moegate/expert-cpu:0.1.1"}
    assert cpu.cluster.controllers.least_ready["moegate-gateway"] == 2  # none less on the way
    assert len({one["metadata"]["labels"]["ray.io/cluster"] for one in cpu.pods("experts")}) == 1  # type: ignore[index]
    cpu.run("Roll back", only="rollout undo|rollout status")
    assert cpu.images("gateway") == {"moegate/gateway:0.1.0"}
    cpu.sh("git -c user.name=a -c user.email=a@b commit -qam two")
    cpu.run("Roll back", only="git checkout")
    assert cpu.images("gateway") == {"moegate/gateway:0.1.0"}
    assert cpu.images("experts") == {"moegate/expert-cpu:0.1.0"}
    assert cpu.served() == dict.fromkeys(EXPERTS, "RUNNING")


def test_an_image_that_does_not_start_takes_no_gateway_away(cpu: Site) -> None:
    cpu.cluster.controllers.bad_images.add("moegate/gateway:0.1.2")
    cpu.sh("kubectl -n moegate set image deployment/moegate-gateway gateway=moegate/gateway:0.1.2")
    cpu.sh("kubectl -n moegate rollout status deployment/moegate-gateway --timeout=2s", is_good=False)
    ready = [one for one in cpu.pods("gateway") if is_ready(one)]
    assert len(ready) == 2
    cpu.run("Roll back", only="rollout undo|rollout status")
    assert all_ready(cpu)
    assert cpu.images("gateway") == {"moegate/gateway:0.1.0"}


@pytest.mark.parametrize("name", ["cpu", "neuron"])
def test_a_canary_comes_and_goes_and_no_pod_restarts(name: str, request: pytest.FixtureRequest) -> None:
    site: Site = request.getfixturevalue(name)
    before = {one["metadata"]["uid"] for one in site.pods("experts")}  # type: ignore[index]
    given = {"OVERLAY": name, "PIN": PIN}
    site.run("Try a canary of one expert", given, only="canary")
    assert site.served()["coder-canary"] == "RUNNING"
    entry = site.told()["coder-canary"]["args"]["spec"]  # type: ignore[index]
    assert entry["canary_share"] == 0.05
    address = f"s3://YOUR-BUCKET/moegate/adapters/coder-2@sha256:{PIN}"
    assert address == (entry["adapter"] if name == "cpu" else entry["engine_options"]["artifact"])
    [gateway] = [one for one in site.pods("gateway") if is_ready(one)][:1]
    maps = [one["configMap"]["name"] for one in gateway["spec"]["volumes"] if "configMap" in one]  # type: ignore[index]
    catalogs = [one for one in site.cluster.store.all("ConfigMap") if one["metadata"]["name"] in maps]
    assert any("coder-canary" in one["data"].get("experts.yaml", "") for one in catalogs)
    site.run("Try a canary of one expert", given, without="canary")
    assert set(site.served()) == EXPERTS
    assert {one["metadata"]["uid"] for one in site.pods("experts")} == before  # type: ignore[index]


def test_a_zone_is_drained_and_comes_back(cpu: Site) -> None:
    zone = next(zone for zone in ZONES if zone in cpu.zones("gateway"))
    begins = len(cpu.cluster.asked)
    lines = {"ZONE": zone}
    out = cpu.run("Lose a zone", lines, without="uncordon")
    assert "drained" in out
    assert any("/eviction" in line for line in cpu.cluster.asked[begins:])
    assert zone not in {*cpu.zones("gateway"), *cpu.zones("experts")}
    assert all_ready(cpu)
    assert len(set(cpu.zones("gateway"))) == 2
    assert cpu.cluster.controllers.least_ready["moegate-gateway"] >= 1
    cpu.run("Lose a zone", lines, only="uncordon")
    assert not any(one["spec"].get("unschedulable") for one in cpu.cluster.store.all("Node"))


def test_a_budget_holds_a_drain_up_where_there_is_no_room(cpu: Site) -> None:
    """Every node but the gateways' is closed: the first eviction passes, the second is refused."""
    for node in cpu.cluster.store.all("Node"):
        cpu.cluster.store.replace({**node, "spec": {**node["spec"], "unschedulable": True}})
    kept = cpu.pods("gateway")
    drain = "--ignore-daemonsets --delete-emptydir-data --timeout=3s --pod-selector app.kubernetes.io/component=gateway"
    out = cpu.sh(f"kubectl drain --selector topology.kubernetes.io/zone {drain}", is_good=False)
    assert "would violate the pod's disruption budget" in out
    assert len([one for one in cpu.pods("gateway") if is_ready(one)]) == len(kept) - 1
    cpu.sh("kubectl uncordon --selector topology.kubernetes.io/zone")
    assert all_ready(cpu)


def test_a_zone_that_goes_without_a_word_leaves_a_gateway(cpu: Site) -> None:
    zone = next(zone for zone in ZONES if zone in cpu.zones("gateway"))
    gone = [
        one for one in cpu.cluster.store.all("Node") if one["metadata"]["labels"]["topology.kubernetes.io/zone"] == zone
    ]
    names = {one["metadata"]["name"] for one in gone}
    left = [one for one in cpu.pods("gateway") if one["spec"]["nodeName"] not in names]  # type: ignore[index]
    assert left
    for node in gone:
        cpu.cluster.store.delete(BY_NAME["v1", "Node"], "", node["metadata"]["name"])
    for pod in cpu.cluster.store.all("Pod"):
        if pod["spec"]["nodeName"] in names:
            cpu.cluster.store.delete(BY_NAME["v1", "Pod"], "moegate", pod["metadata"]["name"])
    assert all_ready(cpu)
    assert zone not in {*cpu.zones("gateway"), *cpu.zones("experts")}
    for node in gone:
        cpu.node(node["metadata"]["name"], zone)


def test_keys_and_the_experts_secret_are_rotated(cpu: Site) -> None:
    def content(name: str, key: str) -> str:
        [secret] = [one for one in cpu.cluster.store.all("Secret") if one["metadata"]["name"] == name]
        return base64.b64decode(secret["data"][key]).decode()

    keys, secret = yaml.safe_load(content("moegate-keys", "keys.yaml")), content("moegate-experts", "secret")
    before = {one["metadata"]["uid"] for one in cpu.cluster.store.all("Pod")}
    cpu.run("Rotate keys", only="moegate key|moegate-keys")
    after = yaml.safe_load(content("moegate-keys", "keys.yaml"))
    assert [one["name"] for one in after] == ["alice"]
    assert after != keys
    assert {one["metadata"]["uid"] for one in cpu.cluster.store.all("Pod")} == before  # gateways watch the file
    cpu.run("Rotate keys", without="moegate key|moegate-keys")
    assert re.fullmatch("[0-9a-f]{64}", content("moegate-experts", "secret"))
    assert content("moegate-experts", "secret") != secret
    assert not before & {one["metadata"]["uid"] for one in cpu.cluster.store.all("Pod")}  # all have read the new one
    assert all_ready(cpu)


def test_a_router_is_taken_back(cpu: Site, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with s3_bucket(monkeypatch, tmp_path) as bucket:
        bucket.put("moegate/router.npz", b"a bad one")
        before = ROOT / "router" / "artifacts" / "router.npz"
        (cpu.checkout / "router-before.npz").write_bytes(before.read_bytes())
        out = cpu.run("Take a router back", {"YOUR-BUCKET": BUCKET})
        assert bucket.get("moegate/router.npz") == before.read_bytes()
    assert "log of moegate-gateway-" in out


def test_ratings_and_interactions_come_back_from_a_copy(
    cpu: Site, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import s3fs

    with s3_bucket(monkeypatch, tmp_path) as bucket:
        files = s3fs.S3FileSystem()
        files.mkdir("copy")
        ratings = ObjectRatings(f"s3://{BUCKET}/kept/ratings")
        ratings.put(Rating(response_id="resp-1", key="alice", rating=1.0, expert="coder", better_expert=None, at=1.0))
        bucket.put("kept/interactions/a.jsonl.zst", b"a segment")
        before = list(ratings.ratings())
        given = {"YOUR-BUCKET": BUCKET, "YOUR-COPY": "copy"}
        cpu.run("Restore ratings and interactions", given, only="a copy, once")
        files.rm(f"{BUCKET}/kept", recursive=True)
        assert list(ratings.ratings()) == []
        cpu.run("Restore ratings and interactions", given, only="bring it back")
        assert list(ratings.ratings()) == before
        assert bucket.get("kept/interactions/a.jsonl.zst") == b"a segment"
        settings = {"interactions": {"target": f"s3://{BUCKET}/kept/interactions"}}
        (cpu.checkout / "restored.yaml").write_text(yaml.safe_dump(settings))
        cpu.run("Restore ratings and interactions", {"FILE": "restored.yaml"}, only="flywheel status")


def test_certificates_are_rotated_and_nothing_restarts(cpu: Site) -> None:
    pods = {one["metadata"]["uid"] for one in cpu.cluster.store.all("Pod")}
    new = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1 -subj /CN=x"
    held = []
    for _ in range(2):
        cpu.sh(f"{new} -keyout tls.key -out tls.crt")
        cpu.run("Rotate certificates")
        [secret] = [one for one in cpu.cluster.store.all("Secret") if one["metadata"]["name"] == "moegate-tls"]
        assert secret["type"] == "kubernetes.io/tls"
        assert base64.b64decode(secret["data"]["tls.crt"]) == (cpu.checkout / "tls.crt").read_bytes()
        held.append(secret["data"])
    assert held[0] != held[1]
    assert {one["metadata"]["uid"] for one in cpu.cluster.store.all("Pod")} == pods


def test_a_node_type_is_added_and_nothing_moves(cpu: Site) -> None:
    """A further worker group on nodes of a type that comes from a new pool."""
    before = {one["metadata"]["uid"] for one in cpu.pods("experts")}
    pools = cpu.checkout / "deploy" / "k8s" / "karpenter" / "pools.yaml"
    pools.write_text(pools.read_text().replace("m7i.4xlarge, m7i.8xlarge", "m7i.4xlarge, c7i.8xlarge"))
    folder = cpu.checkout / "deploy" / "k8s" / "overlays" / "cpu"
    service = list(yaml.safe_load_all((folder / "rayservice.yaml").read_text()))[1]
    group = service["spec"]["rayClusterConfig"]["workerGroupSpecs"][0]["template"]
    group["spec"]["nodeSelector"] = {"node.kubernetes.io/instance-type": "c7i.8xlarge"}
    [block] = [one for one in yaml_blocks("Add a node type") if "patches" in one]
    [change] = yaml.safe_load(block["patches"][1]["patch"])
    change["value"]["template"] = group
    block["patches"][1]["patch"] = yaml.safe_dump([change])
    content = yaml.safe_load((folder / "kustomization.yaml").read_text())
    (folder / "kustomization.yaml").write_text(yaml.safe_dump({**content, **block}, sort_keys=False))
    cpu.node("c7i-0", ZONES[2], "c7i.8xlarge")
    cpu.run("Add a node type")
    assert {one["metadata"]["name"] for one in cpu.cluster.store.all("NodePool")} == {"moegate-cpu", "moegate-neuron"}
    after = cpu.pods("experts")
    assert before < {one["metadata"]["uid"] for one in after}
    assert [one["spec"]["nodeName"] for one in after if "nodeSelector" in one["spec"]] == ["c7i-0"]
    assert all_ready(cpu)


@pytest.mark.skipif(HELM is None, reason="no helm (make helm)")
def test_helm_installs_upgrades_and_rolls_back(tmp_path: Path) -> None:
    site = cpu_site(tmp_path)
    try:
        site.run("5. Roll out", only="create namespace|moegate key|create secret")
        given = {"target=neuron": "target=cpu", "REGISTRY": "r.example.org"}
        site.run("5. Roll out", given, only="manifests|label namespace|helm upgrade")
        assert all_ready(site)
        assert site.images("gateway") == {"r.example.org/moegate/gateway:0.1.0"}
        assert site.served() == dict.fromkeys(EXPERTS, "RUNNING")
        site.sh("helm upgrade moegate deploy/helm/moegate -n moegate --reuse-values --set images.tag=0.1.1")
        assert site.images("gateway") == {"r.example.org/moegate/gateway:0.1.1"}
        assert site.cluster.controllers.least_ready["moegate-gateway"] == 2
        site.run("5. Roll out", only="helm rollback")
        assert site.images("gateway") == {"r.example.org/moegate/gateway:0.1.0"}
        assert all_ready(site)
    finally:
        site.cluster.stop()


def test_what_is_not_valid_is_refused_as_a_server_would(cpu: Site) -> None:
    file = ROOT / "deploy" / "k8s" / "base" / "gateway.yaml"
    (cpu.checkout / "wrong.yaml").write_text(
        file.read_text().replace("replicas", "x").replace("containers:", "container:")
    )
    assert "is invalid" in cpu.sh("kubectl -n moegate apply -f wrong.yaml", is_good=False)
    (cpu.checkout / "wrong.yaml").unlink()
