import pytest

from experts.artifacts.store import ArtifactStore, default_root
from experts.catalog.spec import ExpertSpec, load_catalog
from experts.engine import InvalidRequest, Sampling
from experts.evaluation.engine_client import Answer, ask, greedy, running
from experts.evaluation.reference import ReferenceEngine
from protos import chat_pb2

pytest.importorskip("torch", reason="the reference engine runs in torch: `make test-train`")
pytestmark = pytest.mark.slow

QUESTION = chat_pb2.Conversation(messages=[chat_pb2.Message(role=chat_pb2.ROLE_USER, content="Capital of France?")])


async def answer(spec: ExpertSpec, sampling: Sampling | None = None) -> Answer:
    engine = ReferenceEngine(spec, ArtifactStore(default_root()))
    async with running(engine):
        return await ask(engine, spec, QUESTION, sampling or greedy(spec, 24))


def researcher() -> ExpertSpec:
    spec = load_catalog().get("researcher")
    assert spec
    return spec


async def test_it_says_what_the_base_says_and_counts_its_tokens() -> None:
    made = await answer(researcher().model_copy(update={"adapter": None}))
    assert "Paris" in made.reply.text
    assert made.prompt_tokens > 20
    assert (made.completion_tokens <= 24, made.finish in ("stop", "length")) == (True, True)


async def test_an_adapter_is_part_of_it() -> None:
    without = await answer(researcher().model_copy(update={"adapter": None}))
    assert (await answer(researcher())).reply.text != without.reply.text


async def test_it_is_greedy_only() -> None:
    made = await answer(researcher(), Sampling(max_tokens=4, temperature=1.0))
    assert made.finish == InvalidRequest.slug
