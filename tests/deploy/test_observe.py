"""Dashboards and rules: complete, up to date, and, where there is a Prometheus, every query of theirs returns data."""

import asyncio
import json
import re
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import yaml
from prometheus_client import CollectorRegistry

from deploy.observe.boards import DASHBOARDS
from deploy.observe.check import failures
from deploy.observe.prometheus import CONFIG, PrometheusError, find_binary, running_prometheus
from deploy.observe.queries import RULES, panel_queries, rule_queries
from deploy.observe.traffic import drive
from router.model.artifact import DEFAULT_PATH
from serve.app import App
from serve.settings.tree import load_settings
from serve.telemetry.metrics import Metrics
from tests.deploy import kustomize
from tests.deploy.prometheus_operator import target_labels
from tests.fakes.expert_server import FakeExperts

ROOT = Path(__file__).parents[2]
CPU = ROOT / "deploy" / "k8s" / "overlays" / "cpu"
NAMES = ("researcher", "coder", "advisor", "tool-caller", "generalist")
needs_prometheus = pytest.mark.skipif(find_binary() is None, reason="no prometheus binary (Debian: prometheus)")
needs_promtool = pytest.mark.skipif(find_binary("promtool") is None, reason="no promtool binary (Debian: prometheus)")


def known_names() -> set[str]:
    registry = CollectorRegistry()
    Metrics(registry)
    names = {"up", "process_resident_memory_bytes", "process_cpu_seconds_total"}
    for family in registry.collect():
        match family.type:
            case "counter":
                names.add(f"{family.name}_total")
            case "histogram":
                names |= {f"{family.name}_{part}" for part in ("bucket", "count", "sum")}
            case _:
                names.add(family.name)
    return names


def alerts() -> list[dict[str, Any]]:
    groups = yaml.safe_load((RULES / "alerts.yml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def test_every_panel_says_what_it_is() -> None:
    assert len(DASHBOARDS) == 8
    for board in DASHBOARDS:
        titles = [panel.title for panel in board.panels]
        assert len(titles) == len(set(titles)), board.uid
        for panel in board.panels:
            assert panel.description, panel.title
            assert panel.unit, panel.title
            assert panel.queries, panel.title


def test_queries_name_only_metrics_that_there_are() -> None:
    recorded = {query.where.split(" / ")[1] for query in rule_queries() if query.where.startswith("recording")}
    known = known_names() | recorded
    for query in (*panel_queries(), *rule_queries()):
        if query.source == "moegate":
            expr = re.sub(r'"[^"]*"', '""', query.expr)
            named = set(re.findall(r"(?<![\w:])(?:moegate[\w:]*|process_\w+|up)(?=[\s{\[(),]|$)", expr))
            assert named, query
            assert named <= known, (query.where, named - known)


def test_the_dashboards_files_are_what_the_code_writes() -> None:
    grafana = pytest.importorskip("deploy.observe.grafana", reason="needs grafana-foundation-sdk")
    assert grafana.main(["--check"]) == 0
    for board in DASHBOARDS:
        content = json.loads((grafana.FOLDER / f"{board.uid}.json").read_text())
        assert content["uid"] == board.uid
        assert len(content["panels"]) == len(board.panels)
        for panel in content["panels"]:
            assert panel["fieldConfig"]["defaults"]["unit"]
            assert panel["datasource"]["uid"] == "${datasource}"
            assert all(target["expr"] for target in panel["targets"])


def test_every_alert_has_its_runbook() -> None:
    operations = (ROOT / "docs" / "operations.md").read_text()
    for alert in alerts():
        assert alert["labels"]["severity"] in {"page", "ticket"}
        assert alert["annotations"]["summary"]
        page, anchor = alert["annotations"]["runbook"].split("#")
        assert (ROOT / page).is_file()
        assert f"### {alert['alert']}\n" in operations, alert["alert"]
        assert anchor == alert["alert"].lower()


def test_every_alert_is_seen_to_fire() -> None:
    """In the tests that promtool runs, below; what those say of it is promtool's to judge."""
    cases = yaml.safe_load((CONFIG.parent / "tests" / "alerts_test.yml").read_text())["tests"]
    fired = {test["alertname"] for case in cases for test in case.get("alert_rule_test", ()) if test["exp_alerts"]}
    assert fired == {alert["alert"] for alert in alerts()}


@needs_promtool
def test_promtool_accepts_configuration_and_rules() -> None:
    tool = find_binary("promtool")
    assert tool is not None
    for command in (
        [tool, "check", "config", str(CONFIG)],
        [tool, "test", "rules", str(CONFIG.parent / "tests" / "alerts_test.yml")],
    ):
        ended = subprocess.run(command, capture_output=True, text=True, check=False)
        assert ended.returncode == 0, ended.stdout + ended.stderr


@pytest_asyncio.fixture
async def experts() -> AsyncIterator[FakeExperts]:
    fake = FakeExperts(*NAMES)
    for script in fake.scripts.values():
        script.words, script.gap_s = [" word"] * 12, 0.005
    await fake.start()
    yield fake
    await fake.stop()


@pytest_asyncio.fixture
async def app(experts: FakeExperts, tmp_path: Path) -> AsyncIterator[App]:
    settings = {
        "http": {"port": 0},
        "grpc": {"port": 0},
        "experts": {"target": experts.target, "probe_interval_s": 0.5},
        "feedback": {"path": str(tmp_path / "feedback.sqlite3")},
        "guard": {"rules": str(ROOT / "deploy" / "guard.yaml")},
        "remote": {"router": f"file://{DEFAULT_PATH}", "folder": str(tmp_path)},
        "shutdown_grace_s": 0.2,
    }
    app = App(load_settings(overrides=settings))
    await app.start()
    yield app
    await app.stop()


@needs_prometheus
@pytest.mark.slow
@pytest.mark.parametrize("where", ["one machine", "a cluster"])
async def test_every_query_returns_data(app: App, where: str) -> None:
    cluster = {key: value for key, value in target_labels(kustomize.render(CPU)).items() if key != "instance"}
    labels = cluster if where == "a cluster" else None

    def ask() -> tuple[int, list[str]]:
        with running_prometheus(app.http_address, labels=labels) as prometheus:
            statuses = drive(f"http://{app.http_address}", 12)
            assert {200, 404, 0} <= set(statuses)
            return failures(prometheus)

    count, wrong = await asyncio.to_thread(ask)
    assert count > 80
    assert wrong == []


@needs_prometheus
@pytest.mark.slow
async def test_the_right_alert_fires(app: App, experts: FakeExperts) -> None:
    def fired(names: set[str], seconds: float) -> dict[str, str]:
        drive(f"http://{app.http_address}", seconds)
        return {name: state for name, state in prometheus.alerts().items() if state == "firing" and name in names}

    ours = {"MoegateExpertDown", "MoegateStreamsBreak", "MoegateFallbacks", "MoegateErrorBudgetFast"}
    stack = running_prometheus(app.http_address, at_once=True)
    prometheus = await asyncio.to_thread(stack.__enter__)
    try:
        assert await asyncio.to_thread(fired, ours, 5.0) == {}
        experts["coder"].is_down = True
        experts["generalist"].break_after = 2
        seen = await asyncio.to_thread(fired, ours, 10.0)
        assert {"MoegateExpertDown", "MoegateStreamsBreak", "MoegateErrorBudgetFast"} <= set(seen)
    finally:
        await asyncio.to_thread(stack.__exit__, None, None, None)


def test_without_a_binary_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deploy.observe.prometheus.find_binary", lambda: None)
    with pytest.raises(PrometheusError, match="Debian"), running_prometheus("127.0.0.1:1"):
        pass
