import json

from rich.console import Console

from router.evaluation.explain import explain
from router.features.featurize import query_from_openai
from router.model.artifact import DEFAULT_PATH
from router.policy.decide import ExpertState
from router.router import Router


def test_an_explanation_names_words_and_prints(artifact_file: object, states: list[ExpertState]) -> None:
    router = Router.load(artifact_file)  # type: ignore[arg-type]
    query = query_from_openai([{"role": "user", "content": "write a python function that sorts [red] tides"}])
    found = explain(router, query, states)
    plain = json.loads(json.dumps(found.as_dict()))
    assert plain["expert"] == "coder" and plain["microseconds"] > 0
    best = plain["experts"][0]
    assert best["expert"] == "coder" and len(best["top_features"]) > 3
    assert not any(part["feature"] == "?" for part in best["top_features"])
    assert any("python" in part["feature"] or "function" in part["feature"] for part in best["top_features"])
    console = Console(width=120, record=True, file=None, quiet=False)
    with console.capture() as captured:
        console.print(found)
    assert "coder" in captured.get() and router.version in captured.get()


def test_contributions_add_up_to_the_heads_answer(artifact_file: object, states: list[ExpertState]) -> None:
    assert DEFAULT_PATH.name == "router.npz"
    router = Router.load(artifact_file)  # type: ignore[arg-type]
    query = query_from_openai([{"role": "user", "content": "日本の川について教えて"}])
    assert all(len(parts) <= 6 for parts in explain(router, query, states).contributions.values())


def test_an_explanation_says_what_the_first_words_of_a_long_turn_did(
    artifact_file: object, states: list[ExpertState]
) -> None:
    router = Router.load(artifact_file)  # type: ignore[arg-type]
    text = "write a warm letter about bread to my dear aunt now:" + " fix this sql query over tides" * 8
    found = explain(router, query_from_openai([{"role": "user", "content": text}]), states)
    named = {part.feature: part.log_odds for part in found.contributions["advisor"]}
    assert named["[how it begins]"] > 0.0
