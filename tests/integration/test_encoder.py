"""The encoder beside the experts, on a real Ray cluster, through both doors."""

from __future__ import annotations

import asyncio
import os
import signal

import grpc
import httpx2
import openai
import pytest

from experts.catalog.encoders import ENCODER_APPLICATION
from protos import gateway_pb2 as pb
from protos.gateway_pb2_grpc import GatewayStub
from tests.experts.encoders.tiny_encoder import WIDTH
from tests.integration.running import Moegate

pytestmark = [pytest.mark.ray, pytest.mark.slow]


async def test_both_doors_give_the_same_vectors(sdk: openai.AsyncOpenAI, stub: GatewayStub) -> None:
    whole = await sdk.embeddings.create(model="auto", input=["red green", "blue"])
    other = await stub.Embed(pb.EmbedRequest(texts=["red green", "blue"]))
    assert [len(one.embedding) for one in whole.data] == [WIDTH, WIDTH]
    for one, vector in zip(whole.data, other.vectors, strict=True):
        assert one.embedding == pytest.approx(list(vector.values), abs=0.02)
    assert (whole.model, whole.usage.total_tokens, other.tokens) == ("tiny-encoder", 7, 7)


async def test_a_text_that_is_too_long_is_named(sdk: openai.AsyncOpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as raised:
        await sdk.embeddings.create(model="auto", input=["red", "red " * 50])
    assert (raised.value.code, raised.value.param) == ("context_length_exceeded", "input[1]")


async def test_many_callers_at_once(sdk: openai.AsyncOpenAI) -> None:
    colours = ["red", "green", "blue", "red blue"] * 8
    answers = await asyncio.gather(*(sdk.embeddings.create(model="auto", input=colour) for colour in colours))
    first = {colour: answer.data[0].embedding for colour, answer in zip(colours[:4], answers[:4], strict=True)}
    for colour, answer in zip(colours, answers, strict=True):
        assert answer.data[0].embedding == pytest.approx(first[colour], abs=0.02)


async def test_killed_it_is_missed_by_name_on_both_doors_and_comes_back(
    moegate: Moegate, http: httpx2.AsyncClient, stub: GatewayStub
) -> None:
    [before] = moegate.replica_pids(ENCODER_APPLICATION)
    os.kill(before, signal.SIGKILL)
    missed, codes = "", set[str]()
    many = {"messages": [{"role": "user", "content": "hi"}], "documents": ["red", "green"] * 3, "max_tokens": 4}
    assert (await http.post("/v1/chat/completions", json=many)).status_code == 200, "an answer needs no encoder"
    for _ in range(600):
        answer = await http.post("/v1/embeddings", json={"model": "auto", "input": "red"})
        try:
            await stub.Embed(pb.EmbedRequest(texts=["red"]))
            missed = ""
        except grpc.aio.AioRpcError as error:
            missed = dict(error.trailing_metadata() or ())["x-moegate-error-code"]
        codes |= {missed} if missed else set()
        codes |= {answer.json()["error"]["code"]} if answer.status_code != 200 else set()
        if (answer.status_code, missed) == (200, "") and moegate.replica_pids(ENCODER_APPLICATION) not in (
            [],
            [before],
        ):
            break
        await asyncio.sleep(0.1)
    else:
        pytest.fail(f"it did not come back: {codes}")
    assert codes <= {"encoder_unavailable", "encoder_failed", "deadline_exceeded"}
