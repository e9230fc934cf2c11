"""The encoder's handler: vectors out, typed errors as clean statuses, and the secret asked for."""

from __future__ import annotations

from typing import Any

import grpc
import numpy as np
import pytest

from experts.catalog.secret import METADATA_KEY, VARIABLE, Unauthenticated
from experts.cluster.deployment import InternalError
from experts.cluster.encoder_deployment import EncoderDeployment
from experts.encoders.encoder import TextTooLong
from experts.engine import DeadlineExceeded, EngineDead, EngineError, InvalidRequest
from protos import encoder_pb2 as pb
from tests.experts.cluster.test_deployment import Context
from tests.fakes.scripted_encoder import ScriptedEncoder, vector_of

LATE = {"x-request-timeout-ms": "0"}


async def deployed(encoder: ScriptedEncoder) -> EncoderDeployment:
    deployment = EncoderDeployment("tiny", lambda: encoder)
    await deployment.check_health()
    return deployment


async def test_texts_become_vectors() -> None:
    deployment = await deployed(ScriptedEncoder())
    answer = await deployment.Embed(pb.EmbedRequest(texts=["one two", "x"], token_vectors=True), Context())
    assert (answer.model, answer.artifact, answer.dimensions) == ("tiny", "hash", 2)
    assert [tuple(np.frombuffer(one.vector, "<f4")) for one in answer.embeddings] == [
        vector_of("one two"),
        vector_of("x"),
    ]
    assert [one.tokens for one in answer.embeddings] == [2, 1]
    assert [len(one.token_vectors) for one in answer.embeddings] == [16, 8]
    described = await deployment.Describe(pb.DescribeRequest(), Context())
    assert (described.model, described.dimensions, described.max_tokens, described.waiting) == ("tiny", 2, 8, 0)


@pytest.mark.parametrize(
    ("request_", "metadata", "error", "code"),
    [
        (pb.EmbedRequest(), {}, InvalidRequest, grpc.StatusCode.INVALID_ARGUMENT),
        (pb.EmbedRequest(texts=["x", ""]), {}, InvalidRequest, grpc.StatusCode.INVALID_ARGUMENT),
        (pb.EmbedRequest(texts=["x"] * 2049), {}, InvalidRequest, grpc.StatusCode.INVALID_ARGUMENT),
        (pb.EmbedRequest(texts=["w " * 9]), {}, TextTooLong, grpc.StatusCode.INVALID_ARGUMENT),
        (pb.EmbedRequest(texts=["x"]), LATE, DeadlineExceeded, grpc.StatusCode.DEADLINE_EXCEEDED),
        (pb.EmbedRequest(texts=["poison"]), {}, EngineDead, grpc.StatusCode.UNAVAILABLE),
    ],
)  # fmt: skip
async def test_failures_have_a_status(
    request_: pb.EmbedRequest, metadata: dict[str, str], error: type[EngineError], code: grpc.StatusCode
) -> None:
    encoder = ScriptedEncoder()
    encoder.breaks_on = "poison"
    deployment = await deployed(encoder)
    context = Context(*metadata.items())
    with pytest.raises(error):
        await deployment.Embed(request_, context)
    assert context.code is code
    assert context.details.startswith(f"{error.slug}: ")
    assert "secret words" not in context.details


async def test_a_text_that_may_be_cut_is() -> None:
    deployment = await deployed(ScriptedEncoder())
    answer = await deployment.Embed(pb.EmbedRequest(texts=["w " * 9], truncate=True), Context())
    assert len(answer.embeddings) == 1


async def test_the_secret_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "s" * 20)
    deployment = await deployed(ScriptedEncoder())
    for call in (deployment.Embed(pb.EmbedRequest(texts=["x"]), Context()), deployment.Describe(None, Context())):  # type: ignore[arg-type]
        with pytest.raises(Unauthenticated):
            await call
    known = Context((METADATA_KEY, "s" * 20))
    assert (await deployment.Embed(pb.EmbedRequest(texts=["x"]), known)).dimensions == 2


async def test_an_unforeseen_failure_is_not_told() -> None:
    class Broken(ScriptedEncoder):
        @property
        def artifact(self) -> Any:  # type: ignore[override]
            raise KeyError("secret words")

    deployment = await deployed(Broken())
    context = Context()
    with pytest.raises(InternalError):
        await deployment.Describe(pb.DescribeRequest(), context)
    assert (context.code, context.details) == (grpc.StatusCode.INTERNAL, "internal error")


async def test_a_broken_encoder_asks_for_a_new_replica() -> None:
    encoder = ScriptedEncoder()
    encoder.breaks_on = "poison"
    deployment = await deployed(encoder)
    with pytest.raises(EngineDead):
        await deployment.Embed(pb.EmbedRequest(texts=["poison"]), Context())
    with pytest.raises(EngineDead):
        await deployment.check_health()
