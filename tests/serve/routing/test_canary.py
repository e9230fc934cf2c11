"""A canary gets its share, no more, and nobody who named an expert."""

import uuid
from pathlib import Path

import httpx2
import pytest
import yaml

from experts.catalog.spec import CatalogError, load_catalog
from router.decision import Candidate, Reason, RouteDecision
from serve.routing.canary import canaries, with_canary
from tests.fakes.expert_server import FakeExperts

ASK = {"messages": [{"role": "user", "content": "Fix this Python function: def f(x) return x"}]}


@pytest.fixture
def catalog_file(catalog_file: Path) -> Path:
    """The usual catalogue, the advisor's entry made the coder's canary."""
    catalog = yaml.safe_load(catalog_file.read_text())
    catalog["experts"][2] |= {"canary_of": "coder", "canary_share": 0.25}
    catalog_file.write_text(yaml.safe_dump(catalog))
    return catalog_file


def decision(reason: Reason = Reason.CLASSIFIED) -> RouteDecision:
    ranking = (Candidate("coder", 0.9), Candidate("generalist", 0.05), Candidate("advisor", 0.0))
    return RouteDecision(ranking, reason, 0.9, "v", 0.0)


def test_its_share_of_requests_and_its_place(catalog_file: Path) -> None:
    on_trial = canaries(load_catalog(catalog_file))
    made = [with_canary(decision(), on_trial, str(uuid.UUID(int=n * 7919))) for n in range(4000)]
    chosen = [d for d in made if d.expert == "advisor"]
    assert len(chosen) / len(made) == pytest.approx(0.25, abs=0.03)
    assert [c.expert for c in chosen[0].ranking] == ["advisor", "coder", "generalist"]
    assert (chosen[0].confidence, chosen[0].reason) == (0.9, Reason.CLASSIFIED)
    assert all(d == decision() for d in made if d.expert != "advisor")


def test_the_same_request_always_goes_the_same_way(catalog_file: Path) -> None:
    on_trial = canaries(load_catalog(catalog_file))
    assert len({with_canary(decision(), on_trial, "id-1").expert for _ in range(20)}) == 1


def test_who_names_an_expert_gets_it(catalog_file: Path) -> None:
    on_trial = canaries(load_catalog(catalog_file))
    pinned = decision(Reason.PINNED)
    assert all(with_canary(pinned, on_trial, str(n)) is pinned for n in range(200))


async def test_a_broken_canary_costs_nobody_an_answer(http: httpx2.AsyncClient, experts: FakeExperts) -> None:
    experts["advisor"].is_down = True
    answers = [await http.post("/v1/chat/completions", json=ASK, headers={"x-request-id": f"r{n}"}) for n in range(24)]
    assert {answer.status_code for answer in answers} == {200}
    assert {answer.json()["model"] for answer in answers} == {"coder"}
    assert {answer.headers["x-moegate-reason"] for answer in answers} == {"classified", "fallback"}


def test_a_canary_of_nobody_is_refused(catalog_file: Path) -> None:
    catalog_file.write_text(catalog_file.read_text().replace("canary_of: coder", "canary_of: advisor"))
    with pytest.raises(CatalogError, match="'advisor' is a canary of 'advisor'"):
        load_catalog(catalog_file)
