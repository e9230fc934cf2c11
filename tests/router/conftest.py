"""Rows made here, so that the router's tests need no data folder and train in a second."""

import json
from pathlib import Path

import pytest

from router.features.featurize import query_from_openai
from router.model.artifact import save
from router.policy.decide import ExpertState
from router.train import Recipe, Trained, train
from router.training.dataset import Row

TOPICS = ["rivers", "bread", "planets", "tax", "birds", "chess", "steel", "opera", "bees", "glaciers", "tides", "maps"]
SHAPES = {
    "researcher": ["who first described {0}?", "what is known about the history of {0}?", "where are {0} found today?"],
    "coder": [
        "write a python function that parses {0}",
        "fix this sql query over {0}:\n```sql\nSELECT * FROM {0};\n```",
    ],
    "advisor": ["write a warm letter about {0} to my aunt", "plan a weekend around {0} for two friends"],
    "generalist": ["Tom has 12 {0} and gives 5 away, how many are left?", "hello there, {0}!"],
}
TOOLS = [
    {"type": "function", "function": {"name": "get_weather", "description": "Weather of a city", "parameters": {}}}
]


def make_dicts() -> list[dict[str, object]]:
    """Make rows of eight sources, two an expert, and a few tool requests."""
    rows: list[dict[str, object]] = []
    for label, shapes in SHAPES.items():
        for at, topic in enumerate(TOPICS):
            text = shapes[at % len(shapes)].format(topic)
            source = f"{label}-{at % 2}"
            rows.append({"source": source, "messages": [{"role": "user", "content": text}], "label": label})
    for topic in TOPICS:
        message = {"role": "user", "content": f"is it raining on the {topic}?"}
        rows.append({"source": "tools", "messages": [message], "tools": TOOLS, "label": "tool-caller"})
    return rows


@pytest.fixture(scope="session")
def data_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "made.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in make_dicts()), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def rows() -> list[Row]:
    return [
        Row(str(raw["source"]), query_from_openai(raw["messages"], raw.get("tools")), (str(raw["label"]),))  # type: ignore[arg-type]
        for raw in make_dicts()
    ]


@pytest.fixture(scope="session")
def trained(rows: list[Row]) -> Trained:
    return train(rows, Recipe(seed=5, copies=1))


@pytest.fixture(scope="session")
def artifact_file(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("artifact") / "router.npz"
    save(trained.artifact, path)
    return path


@pytest.fixture
def states() -> list[ExpertState]:
    names = ["researcher", "coder", "advisor", "tool-caller", "generalist"]
    return [ExpertState(name, 8192, True, 0, 16, 0.1) for name in names]
