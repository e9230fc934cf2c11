"""Every metric that the documents promise is on `/metrics` once its traffic has come: none is only declared."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import httpx2
import pytest
from prometheus_client.parser import text_string_to_metric_families

from deploy.observe.traffic import drive
from serve.app import App
from tests.fakes.expert_server import FakeExperts

ASK: Final = {"model": "coder", "messages": [{"role": "user", "content": "Fix this function: def f(x) return x"}]}
# What this file's traffic cannot bring about, and the test file that does.
SHOWN_BY: Final = {
    "moegate_co2e_grams": "test_ledger.py",  # the experts here have a listed price, and no machine behind it
    "moegate_configuration_info": "test_watch.py",
    "moegate_configuration_reloads": "test_watch.py",
    "moegate_encoder_requests": "embeddings/test_doors.py",
    "moegate_encoder_seconds": "embeddings/test_doors.py",
    "moegate_energy_joules": "test_ledger.py",
    "moegate_dropped_citations": "test_citations.py",
    "moegate_key_cost_usd": "test_usage.py",
    "moegate_key_requests": "test_usage.py",
    "moegate_key_tokens": "test_usage.py",
    "moegate_limited_requests": "test_access.py",
    "moegate_padded_prompt_tokens": "test_static_shapes.py",
    "moegate_structured_answers": "test_response_format.py",
    "moegate_cache_requests": "steps/cache/test_step.py",
    "moegate_guard_blocked": "steps/guard/test_step.py",
    "moegate_guard_call_seconds": "steps/guard/called/test_answer.py",
    "moegate_guard_failures": "steps/guard/test_in_force.py",
    "moegate_guard_findings": "steps/guard/test_step.py",
    "moegate_interactions": "interactions/test_writer.py",
    "moegate_interaction_redactions": "interactions/test_observer.py",
    "moegate_remote_confirmed_seconds": "remote/test_mirrors.py",
    "moegate_remote_fetches": "remote/test_mirrors.py",
    "moegate_retrieval_requests": "steps/retrieval/test_step.py",
    "moegate_retrieval_seconds": "steps/retrieval/test_step.py",
    "moegate_retrieval_answers": "steps/retrieval/test_step.py",
    "moegate_retrieval_neutralised": "steps/retrieval/test_step.py",
    "moegate_trials_ended": "routing/test_trials.py",
    "moegate_trial_share": "interactions/test_shadow.py",
    "moegate_flywheel_changes": "interactions/test_shadow.py",
    "moegate_shadows": "interactions/test_shadow.py",
    "moegate_router_shadows": "routing/test_router_trial.py",
    "moegate_tool_calls": "test_tool_calls.py",
    "moegate_tool_selection_requests": "steps/tool_selection/test_step.py",
    "moegate_wakes": "test_cold.py",
}


@pytest.fixture
def overrides(tmp_path: Path) -> dict[str, Any]:
    return {"feedback": {"path": str(tmp_path / "feedback.sqlite3")}, "dispatch": {"hedge_after_ms": 20}}


async def test_all_have_samples(app: App, http: httpx2.AsyncClient, experts: FakeExperts) -> None:
    experts["researcher"].break_after = 1
    experts["advisor"].first_s = 0.1
    await asyncio.to_thread(drive, f"http://{app.http_address}", 3.0)
    experts["generalist"].is_down = True
    await http.post("/v1/chat/completions", json={**ASK, "model": "generalist"})
    families = text_string_to_metric_families((await http.get("/metrics")).text)
    empty = {family.name for family in families if family.name.startswith("moegate_") and not family.samples}
    assert empty <= SHOWN_BY.keys()


async def test_the_wait_inside_an_expert_is_told(
    http: httpx2.AsyncClient, experts: FakeExperts, sample: Callable[..., float]
) -> None:
    experts["coder"].queue_s = 0.3
    await http.post("/v1/chat/completions", json=ASK)
    assert sample("moegate_expert_queue_seconds_count", expert="coder") == 1
    assert sample("moegate_expert_queue_seconds_sum", expert="coder") == pytest.approx(0.3)
