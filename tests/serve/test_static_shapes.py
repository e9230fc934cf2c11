"""An expert of static shapes: what its shapes do not hold goes elsewhere, and what padding costs is counted."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest
import yaml

from tests.fakes.expert_server import FakeExperts
from tests.helpers import CHAT

CODE = "Fix this Python function: def f(x) return x"
NEURON = {
    "engine": "neuron",
    "max_prompt_tokens": 100,
    "resources": {"custom": {"neuron_cores": 2}},
    "engine_options": {"artifact": "s3://models/coder"},
}


@pytest.fixture
def catalog_file(catalog_file: Path) -> Path:
    """The usual catalogue, its coder on NeuronCores."""
    catalog = yaml.safe_load(catalog_file.read_text())
    catalog["experts"][1] |= NEURON
    catalog_file.write_text(yaml.safe_dump(catalog))
    return catalog_file


async def ask(http: httpx2.AsyncClient, text: str = CODE, **fields: Any) -> httpx2.Response:
    return await http.post(CHAT, json={"messages": [{"role": "user", "content": text}], **fields})


async def test_what_fits_the_bucket_is_sent_there_and_its_padding_counted(
    http: httpx2.AsyncClient, sample: Callable[..., float]
) -> None:
    assert (await ask(http)).json()["model"] == "coder"
    assert sample("moegate_padded_prompt_tokens_total", expert="coder") == 93  # the fake's prompts have 7 tokens


async def test_a_prompt_that_fits_no_bucket_is_not_sent_there(
    http: httpx2.AsyncClient, experts: FakeExperts, sample: Callable[..., float]
) -> None:
    response = await ask(http, CODE + " # and a comment that goes on and on" * 60)
    assert (response.status_code, response.headers["x-moegate-reason"]) == (200, "over_context")
    assert experts["coder"].requests == []
    assert sample("moegate_padded_prompt_tokens_total", expert=response.json()["model"]) == 0


@pytest.mark.parametrize("setting", [{"frequency_penalty": 0.5}, {"seed": 3, "temperature": 1}])
async def test_a_setting_that_is_not_honoured_there_goes_to_who_honours_it(
    http: httpx2.AsyncClient, experts: FakeExperts, setting: dict[str, Any]
) -> None:
    response = await ask(http, **setting)
    assert response.status_code == 200
    assert response.json()["model"] != "coder"
    assert experts["coder"].requests == []


async def test_the_seed_of_a_greedy_answer_is_no_reason_to_go_elsewhere(http: httpx2.AsyncClient) -> None:
    assert (await ask(http, seed=3, temperature=0)).json()["model"] == "coder"
