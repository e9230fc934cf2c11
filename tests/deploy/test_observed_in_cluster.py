"""What watches a cluster: the dashboards and alerts of one machine, whole, valid, and matching the cluster's labels."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.observe.boards import DASHBOARDS
from deploy.observe.prometheus import find_binary
from deploy.observe.queries import RULES, panel_queries, rule_queries
from experts.cluster.manifests import OVERLAYS, main
from experts.cluster.observed import prometheus_rule
from experts.cluster.site_settings import read_site
from tests.deploy import kustomize
from tests.deploy.prometheus_operator import errors, job_labels, target_labels

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
APPLIED = 262_144  # bytes of an annotation: what `kubectl apply` keeps of an object
needs_promtool = pytest.mark.skipif(find_binary("promtool") is None, reason="no promtool binary (Debian: prometheus)")


@pytest.fixture(params=list(OVERLAYS))
def documents(request: pytest.FixtureRequest) -> list[dict[str, Any]]:
    return kustomize.render(DEPLOY / "k8s" / "overlays" / request.param)


def rule(documents: list[dict[str, Any]]) -> dict[str, Any]:
    [found] = [d for d in documents if d["kind"] == "PrometheusRule"]
    return found


def test_every_dashboard_is_in_the_cluster(documents: list[dict[str, Any]]) -> None:
    [made] = [d for d in documents if d["metadata"]["name"] == "moegate-dashboards"]
    assert made["metadata"]["labels"] == {"grafana_dashboard": "1"}
    assert set(made["data"]) == {f"{board.uid}.json" for board in DASHBOARDS}
    for name, text in made["data"].items():
        assert text == (DEPLOY / "grafana" / "dashboards" / name).read_text()
    assert len(json.dumps(made)) < APPLIED


def test_the_rules_are_those_of_one_machine(documents: list[dict[str, Any]]) -> None:
    groups = rule(documents)["spec"]["groups"]
    files = [group for file in sorted(RULES.glob("*.yml")) for group in yaml.safe_load(file.read_text())["groups"]]
    assert [group["name"] for group in groups] == [group["name"] for group in files]
    for ours, theirs in zip(groups, files, strict=True):
        for made, written in zip(ours["rules"], theirs["rules"], strict=True):
            assert {**made, "annotations": 0} == {**written, "annotations": 0}


def test_every_alert_links_to_a_runbook_that_is_there(documents: list[dict[str, Any]]) -> None:
    docs = read_site(DEPLOY / "k8s" / "site.yaml").docs
    alerts = [one for group in rule(documents)["spec"]["groups"] for one in group["rules"] if "alert" in one]
    headings = re.findall(r"^### (\w+)$", (ROOT / "docs" / "operations.md").read_text(), re.M)
    for alert in alerts:
        assert "runbook" not in alert["annotations"]
        assert alert["annotations"]["runbook_url"] == f"{docs}/operations.md#{alert['alert'].lower()}"
        assert alert["alert"] in headings
    assert len(alerts) > 20


@needs_promtool
def test_promtool_accepts_what_the_operator_hands_to_prometheus(
    documents: list[dict[str, Any]], tmp_path: Path
) -> None:
    (tmp_path / "rules.yml").write_text(yaml.safe_dump(rule(documents)["spec"]))
    command = [str(find_binary("promtool")), "check", "rules", str(tmp_path / "rules.yml")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@needs_promtool
def test_the_generated_rules_fire_on_the_cluster_s_labels(documents: list[dict[str, Any]], tmp_path: Path) -> None:
    """The cluster's own rules, and series as its monitors would label them."""
    (tmp_path / "rules.yml").write_text(yaml.safe_dump(rule(documents)["spec"]))
    labels = target_labels(documents)
    series = "up{" + ",".join(f'{key}="{value}"' for key, value in labels.items()) + "}"
    docs = read_site(DEPLOY / "k8s" / "site.yaml").docs
    annotations = {
        "summary": "A gateway does not answer its scrape",
        "runbook_url": f"{docs}/operations.md#moegatedown",
    }
    expected = {"exp_labels": {**labels, "severity": "page"}, "exp_annotations": annotations}
    case = {
        "interval": "1m",
        "input_series": [{"series": series, "values": "1x5 0x20"}],
        "alert_rule_test": [{"eval_time": "9m", "alertname": "MoegateDown", "exp_alerts": [expected]}],
    }
    content = {"rule_files": ["rules.yml"], "evaluation_interval": "1m", "tests": [case]}
    (tmp_path / "test.yml").write_text(yaml.safe_dump(content))
    command = [str(find_binary("promtool")), "test", "rules", str(tmp_path / "test.yml")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_job_that_is_asked_for_is_the_gateways_alone(documents: list[dict[str, Any]]) -> None:
    jobs = job_labels(documents)
    assert jobs == {"ServiceMonitor": "moegate-gateway", "PodMonitor": "moegate/moegate-experts"}
    asked = {m for query in (*panel_queries(), *rule_queries()) for m in re.findall(r'job(=~|=)"([^"]+)"', query.expr)}
    assert asked
    for operator, pattern in asked:
        expression = pattern if operator == "=~" else re.escape(pattern)
        assert re.fullmatch(expression, jobs["ServiceMonitor"])
        assert re.fullmatch(expression, "moegate")  # of deploy/prometheus/prometheus.yml
        assert not re.fullmatch(expression, jobs["PodMonitor"])


def test_what_every_process_exports_is_asked_of_the_gateways_alone() -> None:
    """In a cluster `process_*` and `up` are everybody's."""
    for query in (*panel_queries(), *rule_queries()):
        for name in re.findall(r"\b(?:up|process_\w+)\b(?![^{]*:)(\{?)", query.expr):
            assert name == "{", query
        for where in re.findall(r"\b(?:up|process_\w+)\{([^}]*)\}", query.expr):
            assert "job=" in where, query


def test_the_operator_s_kinds_are_valid(documents: list[dict[str, Any]]) -> None:
    pytest.importorskip("cloudcoil.models.prometheus_operator", reason="needs cloudcoil's models")
    checked = [d for d in documents if d["apiVersion"] == "monitoring.coreos.com/v1"]
    assert {d["kind"] for d in checked} == {"ServiceMonitor", "PodMonitor", "PrometheusRule"}
    for document in checked:
        assert errors(document) == []
    wrong = rule(documents)
    wrong["spec"]["groups"][0]["rules"][0]["fro"] = wrong["spec"]["groups"][0]["rules"][0].pop("for")
    assert errors(wrong) == ["spec.groups.0.rules.0.fro: unknown"]
    wrong["spec"]["groups"][0]["rules"][0]["for"] = "two minutes"
    assert "pattern" in errors(wrong)[0]


def test_the_pods_have_the_ports_that_are_scraped(documents: list[dict[str, Any]]) -> None:
    [monitor] = [d["spec"] for d in documents if d["kind"] == "PodMonitor"]
    [service] = [d for d in documents if d["kind"] == "RayService"]
    cluster = service["spec"]["rayClusterConfig"]
    for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]):
        template = group["template"]
        assert monitor["selector"]["matchLabels"].items() <= template["metadata"]["labels"].items()
        ports = {port["name"] for port in template["spec"]["containers"][0]["ports"]}
        assert {endpoint["port"] for endpoint in monitor["podMetricsEndpoints"]} <= ports


def test_another_address_is_in_every_link() -> None:
    made = prometheus_rule(RULES, "https://example.org/d")
    links = [one["annotations"]["runbook_url"] for g in made["spec"]["groups"] for one in g["rules"] if "alert" in one]
    assert all(link.startswith("https://example.org/d/operations.md#") for link in links)


def test_a_new_rule_or_dashboard_that_is_not_generated_is_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import shutil

    shutil.copytree(DEPLOY, tmp_path / "deploy")
    monkeypatch.setattr("experts.cluster.manifests.DEPLOY", tmp_path / "deploy")
    assert main(["--check"]) == 0
    (tmp_path / "deploy" / "grafana" / "dashboards" / "new.json").write_text("{}")
    alerts = tmp_path / "deploy" / "prometheus" / "rules" / "alerts.yml"
    alerts.write_text(alerts.read_text().replace("for: 2m", "for: 3m", 1))
    assert main(["--check"]) == 1
    told = capsys.readouterr().err
    assert "grafana/kustomization.yaml" in told
    assert "base/generated/rules.yaml" in told
