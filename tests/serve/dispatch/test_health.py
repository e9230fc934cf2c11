"""How experts are seen: by probes, by what they say at the end of answers, and by what is under way."""

import asyncio

import pytest

from experts.catalog.spec import Scaling
from protos import chat_pb2 as chat
from protos import expert_pb2 as pb
from serve.dispatch.health import CIRCUIT_OPEN, NOT_ANSWERING, HealthMonitor
from serve.settings.tree import ExpertsSettings
from tests.helpers import catalog_of, expert_spec, until
from tests.serve.dispatch.stage import Stage

CATALOG = catalog_of(expert_spec("coder"), expert_spec("advisor", scaling=Scaling(min_replicas=0)))


class Watched:
    """A monitor of a coder that is always there and an advisor that may be cold."""

    def __init__(self, probe_failures: int = 2) -> None:
        self.stage = Stage(advisor={"scaling": Scaling(min_replicas=0)})
        self.channels = self.stage.channels
        settings = ExpertsSettings(target="127.0.0.1:1", probe_failures=probe_failures, probe_interval_s=0.01)
        self.monitor = HealthMonitor(CATALOG, self.stage.dispatcher, self.stage.metrics, settings)

    def is_shown_ready(self, expert: str) -> bool:
        return self.stage.sample("expert_ready", expert=expert) == 1


async def test_nobody_is_ready_before_its_first_word_but_who_may_be_cold() -> None:
    watched = Watched()
    assert watched.monitor.why_not("coder") == NOT_ANSWERING
    assert watched.monitor.why_not("advisor") is None
    await watched.monitor.probe_all()
    assert watched.channels.described == ["coder"], "a probe would keep the other awake"
    assert watched.monitor.why_not("coder") is None
    assert watched.is_shown_ready("coder")
    assert watched.is_shown_ready("advisor")
    assert watched.monitor.experts["coder"].structured_output is True


@pytest.mark.parametrize("probe_failures", [1, 2, 4])
async def test_so_many_lost_probes_in_a_row_mean_down_and_one_answer_means_up(probe_failures: int) -> None:
    watched = Watched(probe_failures)
    await watched.monitor.probe_all()
    for _ in range(2):
        watched.channels.ill.add("coder")
        for lost in range(1, probe_failures + 1):
            assert watched.is_shown_ready("coder")
            await watched.monitor.probe_all()
            assert watched.is_shown_ready("coder") is (lost < probe_failures)
        assert watched.monitor.why_not("coder") == NOT_ANSWERING
        watched.channels.ill.clear()
        await watched.monitor.probe_all()
        assert watched.monitor.why_not("coder") is None


async def test_an_open_circuit_is_a_reason_too_and_readiness_is_somebodys() -> None:
    watched = Watched()
    await watched.monitor.probe_all()
    for expert in ("advisor", "coder"):
        assert watched.monitor.is_ready
        watched.stage.dispatcher.circuits[expert].failed(began_at=0.0)
        assert watched.monitor.why_not(expert) == CIRCUIT_OPEN
    assert not watched.monitor.is_ready
    await watched.stage.close()


async def test_an_answer_tells_of_load_and_of_speed() -> None:
    watched = Watched()
    completion = pb.Completion(
        usage=chat.Usage(prompt_tokens=7, completion_tokens=10), load=pb.Load(running=2, waiting=3)
    )
    completion.timings.queue_s, completion.timings.prefill_s, completion.timings.decode_s = 0.5, 0.25, 1.0
    watched.monitor.report_answer("coder", completion, ttft_s=0.9, now=100.0)
    assert watched.monitor.queue_len("coder") == 5
    assert watched.monitor.queue_len("advisor") == 0
    estimate = watched.monitor.experts["coder"].estimate
    assert estimate.first_token.mean == pytest.approx(0.9 - 0.5), "the wait for a slot is not the expert's speed"
    assert (estimate.slot.mean, estimate.completion_tokens.mean, estimate.at) == (1.25, 10, 100.0)
    assert watched.stage.sample("expert_queue_seconds_sum", expert="coder") == 0.5
    assert watched.stage.sample("expert_sequences_running", expert="coder") == 2
    assert watched.stage.sample("expert_sequences_waiting", expert="coder") == 3


async def test_what_we_have_there_ourselves_counts_if_it_is_more() -> None:
    watched = Watched()
    watched.monitor.report_load("coder", pb.Load(running=1, waiting=1))
    watched.stage.dispatcher.in_flight["coder"] = 1
    assert watched.monitor.queue_len("coder") == 2
    watched.stage.dispatcher.in_flight["coder"] = 9
    assert watched.monitor.queue_len("coder") == 9


async def test_it_goes_on_probing_until_it_is_stopped() -> None:
    watched = Watched()
    running = asyncio.create_task(watched.monitor.run())
    await until(lambda: len(watched.channels.described) >= 3)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert running.cancelled()


async def test_who_wakes_has_said_how_it_is() -> None:
    watched = Watched()
    watched.stage.dispatcher.waker.wake("advisor")
    await until(lambda: watched.monitor.experts["advisor"].structured_output is True)
    await watched.stage.close()
