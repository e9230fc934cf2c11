"""An expert that may have no replica: it is not probed, which would wake it, and counts as able to answer."""

from collections.abc import Callable
from pathlib import Path

import httpx2
import pytest
import yaml

from serve.app import App
from tests.fakes.expert_server import FakeExperts


@pytest.fixture
def catalog_file(catalog_file: Path) -> Path:
    """The usual catalogue, its coder with no replica while nobody asks."""
    catalog = yaml.safe_load(catalog_file.read_text())
    catalog["experts"][1]["scaling"] = {"min_replicas": 0, "max_replicas": 1}
    catalog_file.write_text(yaml.safe_dump(catalog))
    return catalog_file


async def test_it_is_ready_without_being_asked(
    app: App, http: httpx2.AsyncClient, experts: FakeExperts, sample: Callable[..., float]
) -> None:
    experts["coder"].is_down = True  # a probe would fail
    for _ in range(3):
        await app.gateway.health.probe_all()
    assert sample("moegate_expert_ready", expert="coder") == 1
    assert app.gateway.health.experts["coder"].is_ready
    ask = {"messages": [{"role": "user", "content": "Fix this Python function: def f(x) return x"}]}
    answer = await http.post("/v1/chat/completions", json=ask)
    assert (answer.status_code, answer.headers["x-moegate-reason"]) == (200, "fallback")
    experts["coder"].is_down = False
    assert (await http.post("/v1/chat/completions", json=ask)).json()["model"] == "coder"
