"""The gateway shows the experts' secret with every call; only the log says that it has another one."""

import asyncio
import logging

import httpx2
import pytest

from experts.catalog.secret import METADATA_KEY, Guard
from tests.fakes.expert_server import FakeExperts

SECRET = "the-secret-of-this-run"
BODY = {"model": "coder", "messages": [{"role": "user", "content": "hello"}]}


@pytest.fixture
def experts(experts: FakeExperts) -> FakeExperts:
    experts.guard = Guard(SECRET)
    return experts


@pytest.mark.parametrize("overrides", [{"experts": {"secret": SECRET}}])
async def test_every_call_shows_it(http: httpx2.AsyncClient, experts: FakeExperts) -> None:
    assert (await http.get("/ready")).status_code == 200
    answer = await http.post("/v1/chat/completions", json=BODY)
    assert (answer.status_code, experts["coder"].metadata[0][METADATA_KEY]) == (200, SECRET)
    assert SECRET not in answer.text + str(answer.headers)


@pytest.mark.parametrize("overrides", [{}, {"experts": {"secret": "the-secret-of-another-run"}}])
async def test_a_gateway_without_it_gets_no_answer_and_says_why_in_its_log(
    http: httpx2.AsyncClient, experts: FakeExperts, caplog: pytest.LogCaptureFixture
) -> None:
    said = [record.getMessage() for record in caplog.get_records("setup") if record.levelno >= logging.ERROR]
    assert len(said) == 1  # for all experts and all probes
    assert "do not accept this gateway's secret" in said[0]
    assert "the-secret" not in said[0]
    assert (await http.get("/ready")).status_code == 503
    answer = await http.post("/v1/chat/completions", json=BODY)
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "expert_unavailable")
    assert "secret" not in answer.text
    assert experts["coder"].requests == []


@pytest.mark.parametrize("overrides", [{"experts": {"secret": SECRET}}])
async def test_a_secret_that_changes_under_a_gateway_is_noticed(http: httpx2.AsyncClient, experts: FakeExperts) -> None:
    assert (await http.post("/v1/chat/completions", json=BODY)).status_code == 200
    experts.guard = Guard("the-secret-of-the-next-run")
    answers = await asyncio.gather(*(http.post("/v1/chat/completions", json=BODY) for _ in range(4)))
    assert {answer.status_code for answer in answers} == {503}
