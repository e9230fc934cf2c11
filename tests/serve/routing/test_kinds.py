"""`router.kind`: each name serves, a wrong one is refused with the names that exist."""

from pathlib import Path
from typing import Any

import httpx2
import orjson
import pytest

from experts.catalog.spec import load_catalog
from router.decision import Reason
from router.features.featurize import query_from_openai
from router.policy.decide import ExpertState
from serve.app import App
from serve.cli import main
from serve.commands.config_check import find
from serve.commands.up import UpOptions, up
from serve.routing.kinds import KINDS, load_router
from serve.settings.tree import RouterSettings, Settings, SettingsError

STATES = [ExpertState(name, 8192, True, 0, 16, 0.1) for name in ("researcher", "coder", "advisor", "generalist")]
CATALOG = load_catalog()
CODE = query_from_openai([{"role": "user", "content": "fix this python script"}])
CHAT = {"model": "auto", "messages": [{"role": "user", "content": "fix this python script"}]}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_ranks_all_experts(kind: str) -> None:
    router = load_router(RouterSettings(kind=kind), CATALOG)
    decision = router.route(CODE, STATES)
    assert {one.expert for one in decision.ranking} == {state.name for state in STATES}
    assert decision.reason is Reason.CLASSIFIED
    assert all(0.0 <= one.probability <= 1.0 for one in decision.ranking)
    assert decision.router_version == router.version


def test_the_settings_reach_a_rule() -> None:
    unsure = load_router(RouterSettings(kind="keywords", abstain_below=0.9), CATALOG).route(CODE, STATES)
    assert (unsure.expert, unsure.reason) == ("generalist", Reason.ABSTAINED)
    explored = load_router(RouterSettings(kind="keywords", explore=1.0), CATALOG).route(CODE, STATES)
    assert explored.propensity == 0.25
    draws = [
        [load_router(RouterSettings(kind="random", explore_seed=seed), CATALOG).route(CODE, STATES).expert]
        for seed in range(9)
    ]
    assert len({str(draw) for draw in draws}) > 1


@pytest.mark.parametrize("kind", ["", "Learned", "keyword", "random ", "router.router:Router", "none"])
def test_a_kind_that_does_not_exist_is_refused(kind: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"router\.kind: .* is not one of learned, keywords, examples, random"):
        load_router(RouterSettings(kind=kind), CATALOG)
    file = tmp_path / "gateway.yaml"
    file.write_text(f"router: {{kind: '{kind}'}}\n")
    assert "is not one of learned, keywords, examples, random" in "".join(str(one) for one in find(file))


async def test_up_refuses_it_before_anything_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serve.commands.up._Experts", None)  # a call of it would fail otherwise
    settings = Settings(router=RouterSettings(kind="keyword"), http={"port": 0}, grpc={"port": 0})
    with pytest.raises(SettingsError, match=r"router\.kind"):
        await up(settings, UpOptions(), None)  # type: ignore[arg-type]  # nothing is printed


@pytest.mark.parametrize("overrides", [{"router": {"kind": "keywords"}}])
async def test_a_gateway_serves_by_it(app: App, http: httpx2.AsyncClient, overrides: dict[str, Any]) -> None:
    answer = await http.post("/v1/chat/completions", json=CHAT)
    assert answer.status_code == 200
    assert (answer.headers["x-moegate-expert"], answer.headers["x-moegate-reason"]) == ("coder", "classified")
    assert answer.headers["x-moegate-confidence"].startswith("0.76")
    assert 'router="keywords"' in (await http.get("/metrics")).text


def test_the_command_decides_by_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "gateway.yaml"
    file.write_text("router: {kind: keywords}\n")
    assert main(["route", "fix this python script", "--json", "--config", str(file)]) == 0
    told = orjson.loads(capsys.readouterr().out)
    assert (told["expert"], told["confidence"], told["router_version"]) == ("coder", 0.76, "keywords")
    assert main(["route", "fix this python script", "--config", str(file)]) == 0
    assert "coder (classified)" in capsys.readouterr().out
