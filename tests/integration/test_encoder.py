"""The encoder beside the experts, on a real Ray cluster, through both doors."""

from __future__ import annotations

import asyncio

import openai
import pytest

from protos import gateway_pb2 as pb
from protos.gateway_pb2_grpc import GatewayStub
from tests.experts.encoders.tiny_encoder import WIDTH

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
