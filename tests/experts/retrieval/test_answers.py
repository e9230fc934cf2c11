"""The same questions alone, with gold passages and out of a collection: what is asked, and how it is counted."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from experts.evaluation.gateway_client import GatewayClient
from experts.evaluation.suites.rows import RowError
from experts.retrieval.answers import compare, read_questions
from experts.retrieval.command import main

ROWS = [
    {
        "question": "Capital of A?",
        "answers": ["Ax"],
        "passages": ["No.", {"title": "A", "text": "It is Ax."}],
        "gold": 2,
    },
    {"question": "Capital of B?", "answers": ["Bx"], "passages": ["It is", "Bx."], "gold": [1, 2]},
    {"question": "Nobody knows?", "answers": [], "passages": ["x"], "gold": None},
]


class Gateway(BaseHTTPRequestHandler):
    """Knows nothing alone, all with gold passages, and finds the passage of A."""

    asked: list[dict[str, Any]]

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.asked.append(body)
        place = body["messages"][-1]["content"][11]
        if "documents" in body:
            said = f"{place}x [1]."
        elif "retrieval" in body:
            said = "Ax [1]." if place == "A" else "Cx [11]."
        else:
            said = "I don't know."
        delta = {"choices": [{"delta": {"content": said}, "finish_reason": "stop"}], "model": "researcher"}
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"data: " + json.dumps(delta).encode() + b"\n\ndata: [DONE]\n\n")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def url() -> Iterator[str]:
    Gateway.asked = []
    with ThreadingHTTPServer(("127.0.0.1", 0), Gateway) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(map(json.dumps, ROWS)))
    return path


def test_each_question_is_asked_in_three_ways(url: str, data: Path) -> None:
    figures = compare(GatewayClient(url), "researcher", "c", read_questions(data, None), top_k=10, in_flight=2)
    shapes = sorted(
        str({key: body[key] for key in ("documents", "retrieval") if key in body}) for body in Gateway.asked
    )
    assert shapes == sorted(
        ["{}"] * 2
        + [str({"retrieval": {"collections": ["c"], "top_k": 10}})] * 2
        + [
            str({"documents": [{"title": "A", "text": "It is Ax."}]}),
            str({"documents": [{"title": "", "text": "It is"}, {"title": "", "text": "Bx."}]}),
        ]
    )
    assert (figures["n"], figures["lost"]) == (2, 0)
    assert [figures[way]["match"]["value"] for way in ("closed", "gold", "retrieved")] == [0, 1, 0.5]
    assert [figures[way]["answered"]["value"] for way in ("closed", "gold", "retrieved")] == [0, 1, 1]
    assert "citations_valid" not in figures["closed"]
    assert figures["retrieved"]["citations_valid"]["value"] == 0.5, "[11] is no passage"
    assert figures["retrieved_minus_gold"]["value"] == -0.5


def test_the_command_prints_them(url: str, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["answers", "--gateway", url, "--collection", "c", "--data", str(data), "--limit", "1"]) == 0
    *lines, last = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["closed", "gold", "retrieved"]
    assert json.loads(last)["n"] == 1


def test_nobody_there(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["answers", "--gateway", "http://127.0.0.1:1", "--collection", "c", "--data", str(data)]) == 1
    assert "127.0.0.1:1" in capsys.readouterr().err


def test_rows_of_another_form(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps({"question": "x", "answers": ["y"], "passages": ["z"], "gold": 2}))
    with pytest.raises(RowError, match="a row is not"):
        read_questions(path, None)
