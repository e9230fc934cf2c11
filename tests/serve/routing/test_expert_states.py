"""Who may answer, as the router is told: the catalogue's facts, the health monitor's news, and forms."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import yaml
from prometheus_client import CollectorRegistry

from experts.catalog.spec import load_catalog
from protos import chat_pb2 as chat
from protos import expert_pb2 as pb
from router.policy.decide import ExpertState
from serve.dispatch.dispatcher import Dispatcher
from serve.dispatch.health import HealthMonitor
from serve.errors import ExpertUnavailable, UnsupportedParameter
from serve.expert_client.channel import ExpertChannels
from serve.request import ChatRequest
from serve.routing.expert_states import Candidates, idle_states
from serve.settings.tree import load_settings
from serve.telemetry.metrics import Metrics
from tests.fakes.expert_server import FakeExperts
from tests.helpers import chat_request

ENTRY = {
    "description": "plays a part",
    "base": "some/where",
    "engine": "echo",
    "context_window": 1000,
    "max_batch_size": 8,
    "licence": "Apache-2.0",
    "price": {"usd_per_million": {"prompt": 1.0, "completion": 2.0}},
}
NEURON = ENTRY | {"name": "advisor", "engine": "neuron", "max_prompt_tokens": 300}


def slow_to_close(target: str) -> dict[str, Any]:
    return {"experts": {"target": target}, "dispatch": {"circuit": {"open_s": 60}}}


class Known:
    """Candidates and their real neighbours; the experts behind them are played, and probed when a test says so."""

    def __init__(self, path: Path, target: str) -> None:
        catalog, settings = load_catalog(path), load_settings(overrides=slow_to_close(target))
        metrics = Metrics(CollectorRegistry())
        channels = ExpertChannels(target, settings.experts.channels)
        self.dispatcher = Dispatcher(catalog, channels, settings.experts, settings.dispatch, metrics.dispatch)
        self.health = HealthMonitor(catalog, self.dispatcher, metrics, settings.experts)
        self.candidates = Candidates(catalog, self.health, self.dispatcher)

    def state(self, name: str, asked: chat.Sampling | None = None) -> ExpertState:
        return {state.name: state for state in self.candidates.all_states(asked)}[name]


@pytest_asyncio.fixture
async def experts() -> AsyncIterator[FakeExperts]:
    fake = FakeExperts("coder", "advisor")
    await fake.start()
    yield fake
    await fake.stop()


@pytest_asyncio.fixture
async def known(tmp_path: Path, experts: FakeExperts) -> AsyncIterator[Known]:
    path = tmp_path / "experts.yaml"
    path.write_text(yaml.safe_dump({"default": "advisor", "experts": [{"name": "coder", **ENTRY}, NEURON]}))
    made = Known(path, experts.target)
    yield made
    await made.dispatcher.close()


def asking_for_json(model: str = "auto") -> ChatRequest:
    form = chat.ResponseFormat(type=chat.ResponseFormat.TYPE_JSON_OBJECT)
    message = chat.Message(role=chat.ROLE_USER, content="x")
    return chat_request(model=model, input=chat.Conversation(messages=[message], response_format=form))


async def test_the_catalogues_facts_are_told(known: Known) -> None:
    state = known.state("coder")
    assert state.usd_per_million_tokens == pytest.approx(2.0)
    assert state.usd_per_million_prompt_tokens == pytest.approx(1.0)
    assert state.max_batch_size == 8
    assert (state.healthy, state.queue_len) == (False, 0)  # before the first probe


async def test_a_probe_makes_healthy_and_tells_the_load(known: Known, experts: FakeExperts) -> None:
    await known.health.probe_all()
    known.health.report_load("coder", pb.Load(running=3, waiting=2))
    assert (known.state("coder").healthy, known.state("coder").queue_len) == (True, 5)
    assert known.state("advisor").queue_len == 0


async def test_an_open_circuit_is_not_healthy(known: Known) -> None:
    await known.health.probe_all()
    known.dispatcher.circuits["coder"].probed(is_well=False)
    assert [known.state(name).healthy for name in ("coder", "advisor")] == [False, True]


@pytest.mark.parametrize(
    ("asked", "has_room"),
    [
        (chat.Sampling(), True),
        (chat.Sampling(temperature=0.5), True),
        (chat.Sampling(frequency_penalty=0.5), False),
        (chat.Sampling(frequency_penalty=0), True),
        (chat.Sampling(seed=1, temperature=0.5), False),
        (chat.Sampling(seed=1, temperature=0), True),
    ],
)
async def test_an_expert_that_does_not_honour_a_setting_has_no_room(
    known: Known, asked: chat.Sampling, has_room: bool
) -> None:
    assert (known.state("advisor", asked).context_window > 0) == has_room
    assert known.state("coder", asked).context_window > 0


@pytest.mark.parametrize(
    ("asked", "pinned", "refused"),
    [
        ({"logprobs": True}, "auto", None),
        ({"logprobs": True}, "coder", None),
        ({"logprobs": True}, "advisor", "logprobs"),
        ({"logprobs": False, "ignore_eos": False, "min_tokens": 0}, "advisor", None),
        ({"logprobs": True, "top_logprobs": 2}, "auto", "top_logprobs"),
        ({"logprobs": True, "top_logprobs": 2}, "coder", "top_logprobs"),
        ({"logit_bias": {1: 1.0}}, "coder", "logit_bias"),
        ({"min_tokens": 2}, "advisor", "min_tokens"),
        ({"ignore_eos": True}, "advisor", "ignore_eos"),
        ({"ignore_eos": True}, "auto", None),
    ],
)
async def test_what_an_answer_depends_on_is_asked_of_those_who_honour_it_or_refused_by_name(
    known: Known, asked: dict[str, Any], pinned: str, refused: str | None
) -> None:
    request = chat_request(model=pinned, sampling=chat.Sampling(**asked))
    if refused is None:
        known.candidates.check(request)
        names = [state.name for state in known.candidates.states(request)]
        assert names == (["coder", "advisor"] if not any(asked.values()) else ["coder"])
        return
    with pytest.raises(UnsupportedParameter, match="honour") as caught:
        known.candidates.check(request)
    assert caught.value.param == refused


async def test_a_bias_numbers_the_tokens_of_the_expert_that_is_named(tmp_path: Path, experts: FakeExperts) -> None:
    upstream = {"engine": "upstream", "engine_options": {"base_url": "http://a/v1", "model": "m"}}
    path = tmp_path / "biased.yaml"
    entries = [{"name": name, **ENTRY, **upstream} for name in ("coder", "advisor")]
    path.write_text(yaml.safe_dump({"default": "advisor", "experts": entries}))
    known = Known(path, experts.target)
    biased = chat.Sampling(logit_bias={1: 1.0})
    with pytest.raises(UnsupportedParameter, match="name an expert"):
        known.candidates.check(chat_request(sampling=biased))
    named = chat_request(model="coder", sampling=biased)
    known.candidates.check(named)
    assert [state.name for state in known.candidates.states(named)] == ["coder"]  # no fallback to another vocabulary
    await known.dispatcher.close()


async def test_the_room_of_a_compiled_expert_is_its_bucket(known: Known) -> None:
    assert known.state("advisor").context_window < known.state("coder").context_window


async def test_a_form_is_only_asked_of_those_who_keep_to_one(known: Known, experts: FakeExperts) -> None:
    experts["coder"].structured_output, experts["advisor"].structured_output = True, False
    await known.health.probe_all()
    assert [state.name for state in known.candidates.states(asking_for_json())] == ["coder"]
    assert [state.name for state in known.candidates.states(chat_request())] == ["coder", "advisor"]
    known.candidates.check(asking_for_json())
    known.candidates.check(asking_for_json("coder"))
    with pytest.raises(UnsupportedParameter, match="named in 'model'") as caught:
        known.candidates.check(asking_for_json("advisor"))
    assert caught.value.param == "response_format"


async def test_who_is_good_at_a_form_counts_for_it_whatever_the_words(tmp_path: Path, experts: FakeExperts) -> None:
    path = tmp_path / "forms.yaml"
    filler = {"name": "coder", **ENTRY, "forms": {"json_object": 0.8}}
    path.write_text(yaml.safe_dump({"default": "advisor", "experts": [filler, {"name": "advisor", **ENTRY}]}))
    known = Known(path, experts.target)
    experts["coder"].structured_output = experts["advisor"].structured_output = True
    await known.health.probe_all()
    asked = asking_for_json()
    assert [(state.name, state.at_least) for state in known.candidates.states(asked)] == [
        ("coder", 0.8),
        ("advisor", 0),
    ]
    assert [state.at_least for state in known.candidates.states(chat_request())] == [0, 0]
    idle = idle_states(load_catalog(path), asked.sampling, asked.response_format)
    assert [state.at_least for state in idle] == [0.8, 0]
    await known.dispatcher.close()


async def test_nobody_can_is_told_apart_from_nobody_knows(known: Known, experts: FakeExperts) -> None:
    with pytest.raises(ExpertUnavailable, match="retry later"):
        known.candidates.check(asking_for_json())
    known.candidates.check(chat_request())  # text needs no news
    experts["coder"].structured_output = experts["advisor"].structured_output = False
    await known.health.probe_all()
    with pytest.raises(UnsupportedParameter, match="no expert"):
        known.candidates.check(asking_for_json())
