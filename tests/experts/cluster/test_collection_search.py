"""`Search` beside the encoder: passages out of a real store, and every way to fail has a status."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path

import grpc
import numpy as np
import pytest

from experts.cluster.collection_search import CollectionSearch
from experts.cluster.encoder_deployment import EncoderDeployment
from experts.encoders.encoder import Encode, NoCollection, StoreFailed
from experts.engine import DeadlineExceeded, EngineError, InvalidRequest
from experts.retrieval.store import About, Change, Passage
from experts.retrieval.stores import open_store
from protos import encoder_pb2 as pb
from tests.experts.cluster.test_deployment import Context
from tests.fakes.scripted_encoder import ScriptedEncoder

FOUND = grpc.StatusCode.NOT_FOUND
INVALID = grpc.StatusCode.INVALID_ARGUMENT
AWAY = grpc.StatusCode.UNAVAILABLE


@pytest.fixture
def address(tmp_path: Path) -> str:
    store = open_store(str(tmp_path / "store"))
    passages = [
        Passage(f"{n}", "a.md", "T", f"line {n}", text) for n, text in enumerate(["Cats purr.", "Dogs bark."], 1)
    ]
    for name, artifact in (("pets", "hash"), ("old", "another")):
        about = About("tiny", artifact, 2)
        store.change(name, Change(about, {"a.md": "1"}, passages, np.array([[1, 0], [0, 1]], np.float32)))
    return str(tmp_path / "store")


def opened(address: str, encoder: Encode) -> CollectionSearch:
    return CollectionSearch(address, encoder.artifact)


async def deployed(address: str | None, encoder: ScriptedEncoder | None = None) -> EncoderDeployment:
    searcher = partial(opened, address) if address else None
    deployment = EncoderDeployment("tiny", lambda: encoder or ScriptedEncoder(), searcher)
    await deployment.check_health()
    return deployment


def asked(**changes: object) -> pb.SearchRequest:
    fields: dict[str, object] = {"collections": ["pets"], "question": "Who can bark?", "top_k": 5}
    return pb.SearchRequest(**(fields | changes))  # type: ignore[arg-type]


async def test_passages_are_found(address: str) -> None:
    found = await (await deployed(address)).Search(asked(top_k=1), Context())
    [passage] = found.passages
    assert (passage.collection, passage.file, passage.place, passage.text) == ("pets", "a.md", "line 2", "Dogs bark.")
    assert passage.words > 0
    assert min(found.encode_s, found.words_s, found.meaning_s, found.rank_s) > 0


@pytest.mark.parametrize(
    ("changes", "error", "status"),
    [
        ({"collections": []}, InvalidRequest, INVALID),
        ({"collections": ["pets"] * 17}, InvalidRequest, INVALID),
        ({"question": " "}, InvalidRequest, INVALID),
        ({"top_k": 0}, InvalidRequest, INVALID),
        ({"top_k": 65}, InvalidRequest, INVALID),
        ({"collections": ["pets", "none"]}, NoCollection, FOUND),
        ({"collections": ["old"]}, StoreFailed, AWAY),
        ({"collections": ["../pets"]}, NoCollection, FOUND),
    ],
)
async def test_failures_have_a_status(
    address: str, changes: dict[str, object], error: type[EngineError], status: grpc.StatusCode
) -> None:
    context = Context()
    with pytest.raises(error):
        await (await deployed(address)).Search(asked(**changes), context)
    assert context.code is status
    assert context.details.startswith(f"{error.slug}: ")
    assert address not in context.details


async def test_a_store_that_is_missing_harms_no_embedding(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    for address, error in (
        (str(tmp_path / "file"), StoreFailed),
        (str(tmp_path / "empty"), NoCollection),
        (None, NoCollection),
    ):
        deployment = await deployed(address)
        with pytest.raises(error):
            await deployment.Search(asked(), Context())
        assert (await deployment.Embed(pb.EmbedRequest(texts=["x"]), Context())).dimensions == 2


async def test_the_deadline_counts_for_encoding_and_search(address: str) -> None:
    encoder = ScriptedEncoder()
    deployment = await deployed(address, encoder)
    with pytest.raises(DeadlineExceeded):
        await deployment.Search(asked(), Context(("x-request-timeout-ms", "0")))


async def test_who_leaves_has_nothing_searched(address: str) -> None:
    encoder = ScriptedEncoder()
    deployment = await deployed(address, encoder)
    encoder.may_go_on.clear()
    encoder.has_begun.clear()
    task = asyncio.create_task(deployment.Search(asked(), Context()))
    await asyncio.to_thread(encoder.has_begun.wait, 10)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    encoder.may_go_on.set()


async def test_collections_are_listed(address: str) -> None:
    deployment = await deployed(address)
    found = (await deployment.Collections(pb.CollectionsRequest(), Context())).collections
    assert [(one.name, one.files, one.passages, one.encoder) for one in found] == [
        ("old", 1, 2, "tiny"),
        ("pets", 1, 2, "tiny"),
    ]
    named = await deployment.Collections(pb.CollectionsRequest(names=["pets", "cars"]), Context())
    assert [one.name for one in named.collections] == ["pets"]


async def test_without_a_store_there_are_no_collections(tmp_path: Path) -> None:
    assert not (await (await deployed(None)).Collections(pb.CollectionsRequest(), Context())).collections
    (tmp_path / "file").write_text("no folder")
    context = Context()
    with pytest.raises(StoreFailed):
        await (await deployed(str(tmp_path / "file"))).Collections(pb.CollectionsRequest(), context)
    assert context.code is AWAY
