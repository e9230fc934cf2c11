"""Whether the ingress reaches the experts, asked of a server that behaves as Serve's does while it is replaced."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest

from experts.catalog.secret import Guard, Unauthenticated
from experts.cluster.ingress import Ingress
from protos.expert_pb2 import DescribeRequest, DescribeResponse
from protos.expert_pb2_grpc import ExpertServicer, add_ExpertServicer_to_server


class FakeIngress(ExpertServicer):
    """Describes the experts that it knows; the newest is not known before its `late` calls have been refused."""

    def __init__(self, *names: str) -> None:
        self.experts = {name: name for name in names}
        self.late: Counter[str] = Counter()
        self.calls: list[str] = []
        self.peers: list[str] = []
        self.guard = Guard(None)

    def Describe(self, request: DescribeRequest, context: Any) -> DescribeResponse:
        metadata = context.invocation_metadata()
        name = str(dict(metadata)["application"])
        self.calls.append(name)
        self.peers.append(context.peer())
        try:
            self.guard.check(metadata)
        except Unauthenticated:
            context.abort(grpc.StatusCode.UNAUTHENTICATED, "no")
        if name not in self.experts or self.late[name] > 0:
            self.late[name] -= 1
            context.abort(grpc.StatusCode.NOT_FOUND, "no such application")
        return DescribeResponse(expert=self.experts[name])


@pytest.fixture
def fake() -> FakeIngress:
    return FakeIngress("coder", "poet")


@pytest.fixture
def target(fake: FakeIngress) -> Iterator[str]:
    server = grpc.server(ThreadPoolExecutor(2))
    add_ExpertServicer_to_server(fake, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"127.0.0.1:{port}"
    server.stop(0).wait()


def test_who_answers_for_a_name_is_that_expert(fake: FakeIngress, target: str) -> None:
    fake.experts["poet"] = "coder"
    assert Ingress(target).answers_for("coder")
    assert not Ingress(target).answers_for("poet")
    assert not Ingress(target).answers_for("nobody")


def test_each_question_comes_over_a_new_connection(fake: FakeIngress, target: str) -> None:
    assert all(Ingress(target).answers_for("coder") for _ in range(3))
    assert len(set(fake.peers)) == 3


def test_nobody_listening_is_no_answer() -> None:
    assert not Ingress("127.0.0.1:1").answers_for("coder")


def test_the_secret_is_shown_and_never_printed(fake: FakeIngress, target: str) -> None:
    fake.guard = Guard("s3cret")
    assert Ingress(target, "s3cret").answers_for("coder")
    assert not Ingress(target, "other").answers_for("coder")
    assert not Ingress(target).answers_for("coder")
    assert "s3cret" not in repr(Ingress(target, "s3cret"))


def test_waiting_ends_when_every_expert_answers_again_and_again(fake: FakeIngress, target: str) -> None:
    fake.late["poet"] = 3
    Ingress(target).await_one(["coder", "poet"])
    assert fake.calls[-10:] == ["coder", "poet"] * 5
    assert len(fake.calls) == 2 * 3 + 10


def test_one_failure_begins_the_count_anew(fake: FakeIngress, target: str) -> None:
    class Flaky(Counter[str]):
        def __getitem__(self, name: str) -> int:
            return int(name == "poet" and fake.calls.count("poet") == 4)

    fake.late = Flaky()
    Ingress(target).await_one(["coder", "poet"])
    assert fake.calls.count("poet") == 4 + 5
