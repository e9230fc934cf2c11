"""What the console's Operate tab reads: small, right, and an operator's."""

import hashlib
from typing import Any

import httpx2
import pytest
from prometheus_client import CollectorRegistry

from serve.doors.http_api.operate import MOST_KEYS, PATH, Sums
from serve.telemetry.metrics import Metrics
from serve.telemetry.metrics.page import page
from tests.fakes.expert_server import FakeExperts
from tests.helpers import CHAT

ASK = {"model": "coder", "messages": [{"role": "user", "content": "hello"}]}


async def test_it_tells_of_experts_errors_money_and_the_latest_requests(
    http: httpx2.AsyncClient, experts: FakeExperts
) -> None:
    await http.post(CHAT, json=ASK, headers={"x-request-id": "mine"})
    experts["coder"].is_down = True
    assert (await http.post(CHAT, json=ASK)).status_code == 503
    told = (await http.get(PATH)).json()
    rows = {row["name"]: row for row in told["experts"]}
    assert rows.keys() == {*experts.scripts, "none"}
    coder = rows["coder"]
    assert (coder["ok"], coder["failed"], coder["cancelled"], coder["tokens"]) == (1, 1, 0, 3)
    assert coder["ready"] is True
    assert coder["cost_usd"] > 0
    assert len(coder["ttft"]) == len(told["buckets_s"]) + 1
    assert coder["ttft"][-1] == 1
    assert coder["ttft"] == sorted(coder["ttft"])
    assert rows["none"]["ready"] is None
    assert told["errors"] == {"expert_unavailable": 1}
    assert told["money"]["spent"] == pytest.approx(coder["cost_usd"])
    failed, answered = told["recent"]
    assert (answered["id"], answered["outcome"], answered["expert"]) == ("mine", "ok", "coder")
    assert answered["tokens"] == 3
    assert failed["outcome"] == "expert_unavailable"
    assert told["gateway"]["version"]
    assert told["gateway"]["configuration"]["catalog"]
    about = told["gateway"]
    assert told["at"] - about["started_at"] == pytest.approx(about["uptime_s"], abs=1)  # both are whole seconds


async def test_it_is_small_however_much_has_happened(http: httpx2.AsyncClient) -> None:
    for number in range(25):
        await http.post(CHAT, json=ASK, headers={"x-request-id": f"{number:0128}"})
    answer = await http.get(PATH)
    assert len(answer.content) <= 15_000
    assert len(answer.json()["recent"]) == 20


def key(secret: str, name: str, **fields: Any) -> dict[str, Any]:
    return {"name": name, "sha256": hashlib.sha256(secret.encode()).hexdigest(), **fields}


MANY = [key(f"mg-{n}", f"tenant-{n:02}", usd=5.0, rpm=100, tpm=1000) for n in range(MOST_KEYS + 10)]


@pytest.mark.parametrize("overrides", [{"access": {"keys": [*MANY, key("mg-o", "ops", operator=True)]}}])
async def test_it_is_an_operators_and_lists_who_spends_most(http: httpx2.AsyncClient) -> None:
    refused = await http.get(PATH, headers={"authorization": "Bearer mg-0"})
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "operator_only")
    assert (await http.get(PATH)).status_code == 401
    await http.post(CHAT, json=ASK, headers={"authorization": "Bearer mg-30"})
    answer = await http.get(PATH, headers={"authorization": "Bearer mg-o"})
    told = answer.json()
    assert len(told["keys"]) == MOST_KEYS
    assert told["keys"][0]["key"] == "tenant-30"
    assert told["keys"][0]["left"]["usd"] < 5.0
    assert told["recent"][0]["key"] == "tenant-30"
    assert len(answer.content) <= 15_000


def test_sums_are_over_the_labels_that_are_not_asked_for() -> None:
    metrics = Metrics(CollectorRegistry())
    metrics.requests.ended.labels("coder", "http", "ok").inc(2)
    metrics.requests.ended.labels("coder", "grpc", "ok").inc()
    metrics.requests.ended.labels("advisor", "http", "cancelled").inc()
    sums = Sums(page(metrics.registry))
    assert sums.total("moegate_requests_total") == 4
    assert sums.total("moegate_requests_total", expert="coder") == 3
    assert sums.by("moegate_requests_total", "outcome") == {"ok": 3, "cancelled": 1}
    assert sums.total("moegate_no_such_thing") == 0
