"""Offers to switch protocols are ignored: each request gets one answer, and no body is ever taken for a request."""

import asyncio
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from serve.app import App
from serve.doors.http_api.upgrade import head_without_offer
from tests.fakes.expert_server import FakeExperts
from tests.serve.raw_http import chat, connected, cut, post, receive, send, silent

# What java.net.http.HttpClient of JDK 17 sends by default, as two packets; so does Spring's and LangChain4j's client.
JDK_HEAD = (
    b"POST /v1/chat/completions HTTP/1.1\r\nConnection: Upgrade, HTTP2-Settings\r\nContent-Length: 64\r\n"
    b"Host: 127.0.0.1:8000\r\nHTTP2-Settings: AAEAAEAAAAIAAAAAAAMAAAAAAAQBAAAAAAUAAEAAAAYABgAA\r\nUpgrade: h2c\r\n"
    b"User-Agent: Java-http-client/17.0.15\r\nAuthorization: Bearer none\r\nContent-Type: application/json\r\n\r\n"
)
# What `curl --http2 -d BODY` of curl 7.88 sends.
CURL_HEAD = (
    b"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1:8000\r\nUser-Agent: curl/7.88.1\r\nAccept: */*\r\n"
    b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n"
    b"content-type: application/json\r\nContent-Length: 64\r\n\r\n"
)
BODY = b'{"model":"coder","messages":[{"role":"user","content":"hello"}]}'
SMUGGLED = b"GET /v1/models HTTP/1.1\r\nHost: gateway\r\n\r\n"

OFFERS: tuple[tuple[str, ...], ...] = (
    (),
    ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA"),
    ("Connection: upgrade", "Upgrade: websocket", "Sec-WebSocket-Key: x", "Sec-WebSocket-Version: 13"),
    ("connection: UPGRADE", "upgrade: TLS/1.0"),
    ("Connection: keep-alive, Upgrade", "Upgrade: h2c, websocket, TLS/1.2"),
    ("Connection: Upgrade", "Upgrade: h2c", "Upgrade: websocket"),
    ("UPGRADE: H2C", "CONNECTION: upgrade, keep-alive"),
    ("Upgrade: h2c",),
    ("Connection: Upgrade",),
    ("Connection: Upgrade", "Upgrade:"),
)


@pytest.mark.parametrize("head", [JDK_HEAD, CURL_HEAD], ids=["jdk", "curl"])
@pytest.mark.parametrize("way", ["one packet", "two packets", "byte by byte"])
async def test_real_clients_bytes(app: App, experts: FakeExperts, head: bytes, way: str) -> None:
    packets = {"one packet": [head + BODY], "two packets": [head, BODY], "byte by byte": cut(head + BODY, range(900))}
    async with connected(app) as (reader, writer):
        for _ in range(2):  # a client keeps its connection
            await send(writer, packets[way])
            assert (await receive(reader)).json["model"] == "coder"
        assert await silent(reader)
    assert len(experts["coder"].requests) == 2


@pytest.mark.parametrize("offer", OFFERS)
@pytest.mark.parametrize("is_chunked", [False, True])
async def test_a_body_in_a_later_packet_is_a_body(
    app: App, experts: FakeExperts, offer: tuple[str, ...], is_chunked: bool
) -> None:
    """What looks like a request of its own gets one answer, a 400, and the connection stays in step."""
    async with connected(app) as (reader, writer):
        raw = post(SMUGGLED, *offer, chunks=[7] if is_chunked else None)
        head = raw.index(b"\r\n\r\n") + 4
        await send(writer, [raw[:head], raw[head:]])
        first = await receive(reader)
        assert (first.status, first.json["error"]["code"]) == (400, "invalid_json")
        await send(writer, [post(chat(), *offer)])
        assert (await receive(reader)).json["model"] == "coder"
        assert await silent(reader)
    assert len(experts["coder"].requests) == 1


requests = st.lists(
    st.tuples(st.sampled_from(OFFERS), st.booleans(), st.booleans(), st.lists(st.integers(0, 400), max_size=3)),
    min_size=1,
    max_size=4,
)


async def test_chunk_borders_and_offers(app: App, experts: FakeExperts) -> None:
    """Any packets, any offers, any bodies, pipelined: as many answers as requests, in order, each to its own."""
    loop = asyncio.get_running_loop()

    @settings(max_examples=60, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(kinds=requests, borders=st.lists(st.integers(0, 2000), max_size=12))
    def every(kinds: list[tuple[tuple[str, ...], bool, bool, list[int]]], borders: list[int]) -> None:
        asyncio.run_coroutine_threadsafe(one(kinds, borders), loop).result(30)

    async def one(kinds: list[tuple[tuple[str, ...], bool, bool, list[int]]], borders: list[int]) -> None:
        experts["coder"].requests.clear()
        raw, said = b"", []
        for i, (offer, is_smuggling, is_chunked, chunks) in enumerate(kinds):
            said.append(None if is_smuggling else f"words {i}")
            raw += post(SMUGGLED if is_smuggling else chat(f"words {i}"), *offer, chunks=chunks if is_chunked else None)
        async with connected(app) as (reader, writer):
            await send(writer, cut(raw, borders))
            answers = [await receive(reader) for _ in kinds]
            assert [answer.status for answer in answers] == [200 if words else 400 for words in said]
            assert await silent(reader, 0.01)
        heard = [request.conversation.messages[0].content for request in experts["coder"].requests]
        assert heard == [words for words in said if words]

    await asyncio.to_thread(every)


@pytest.mark.parametrize("borders", [[], [40], list(range(200))])
async def test_a_fault_in_a_later_request_waits_for_the_answers_before_it(
    app: App, experts: FakeExperts, borders: list[int]
) -> None:
    experts["coder"].first_s, experts["coder"].gap_s = 0.1, 0.02
    bad = b"GET /v1/models HTTP/1.1\r\n\r\n"  # no host
    async with connected(app) as (reader, writer):
        await send(writer, cut(post(chat(stream=True)) + post(chat()) + bad + post(chat()), borders))
        first, second, third = [await receive(reader) for _ in range(3)]
        assert first.body.endswith(b"data: [DONE]\n\n")
        assert (second.status, second.json["model"]) == (200, "coder")
        assert (third.status, third.json["error"]["param"]) == (400, "host")
        assert await reader.read() == b""
    assert len(experts["coder"].requests) == 2


async def test_a_broken_chunk_behind_an_answer_waits_for_it(app: App, experts: FakeExperts) -> None:
    experts["coder"].gap_s = 0.05
    broken = post(chat(), chunks=[5]).replace(b"0\r\n\r\n", b"zz\r\n")
    async with connected(app) as (reader, writer):
        await send(writer, [post(chat(stream=True)) + broken])
        assert (await receive(reader)).body.endswith(b"data: [DONE]\n\n")
        refusal = await receive(reader)
        assert (refusal.status, refusal.json["error"]["code"]) == (400, "invalid_json")
        assert await reader.read() == b""


async def test_a_broken_chunk_behind_its_own_answer_is_not_answered_again(app: App) -> None:
    async with connected(app) as (reader, writer):
        await send(writer, [b"GET /health HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"])
        assert (await receive(reader)).status == 200
        await send(writer, [b"zz\r\n"])
        assert await reader.read() == b""


async def test_trailers_are_no_headers(app: App) -> None:
    """What comes behind a body in chunks could otherwise say what a proxy in front has taken out of the head."""
    trailers = b"X-Request-Id: smuggled\r\nX-Moegate-Priority: urgent\r\nHost: other\r\n"
    raw = post(chat(), chunks=[9])
    for packets in ([raw[:-2] + trailers + b"\r\n"], [raw[:-2], trailers + b"\r\n"]):
        async with connected(app) as (reader, writer):
            await send(writer, packets)
            answer = await receive(reader)
            assert answer.status == 200
            assert answer.headers["x-request-id"] == answer.json["id"]


@pytest.mark.parametrize("ending", [b"0\r\nx-a: ", b"1;", b"1;a=", b"0\r\n" + b"x-a: b\r\n" * 9])
async def test_what_follows_a_body_has_an_end(app: App, ending: bytes) -> None:
    head = post(b"{}", chunks=[1]).partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
    async with connected(app) as (reader, writer):
        await send(writer, [head + b"1\r\n{\r\n" + ending, *[b"a" * 4096] * 12])
        assert (await receive(reader)).status in (400, 431)
        assert await reader.read() == b""


async def test_many_small_chunks_and_a_long_body_are_no_long_head(app: App) -> None:
    for raw in (post(chat("x" * 20_000), chunks=range(20_100)), post(chat("x" * 200_000))):
        async with connected(app) as (reader, writer):
            await send(writer, cut(raw, range(0, len(raw), 5000)))
            assert (await receive(reader)).status == 200


async def test_connect_is_refused(app: App) -> None:
    async with connected(app) as (reader, writer):
        await send(writer, [b"CONNECT example.org:443 HTTP/1.1\r\nHost: example.org:443\r\n\r\n" + SMUGGLED])
        assert (await receive(reader)).status == 405
        assert await reader.read() == b""


@pytest.mark.parametrize("borders", [[], [3], [24], [26], list(range(60))])
async def test_http2_with_prior_knowledge_gets_a_clean_end(app: App, borders: list[int]) -> None:
    frames = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00\x00\x00\x04\x08\x00\x00\x00\x00\x00"
    async with connected(app) as (reader, writer):
        await send(writer, cut(frames, borders))
        assert (await receive(reader)).status == 400
        assert await reader.read() == b""


def test_what_frames_the_body_stays() -> None:
    headers = [(b"host", b"x"), (b"upgrade", b"h2c"), (b"transfer-encoding", b"chunked"), (b"connection", b"upgrade")]
    head = head_without_offer(b"POST", b"/v1/x?y", "1.1", headers)
    assert head == b"POST /v1/x?y HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\nconnection: upgrade\r\n\r\n"


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("javac") is None or shutil.which("java") is None, reason="no JDK on this machine")
async def test_jdks_own_client(app: App, tmp_path: Path) -> None:
    (tmp_path / "Post.java").write_text("""
        import java.net.URI;
        import java.net.http.*;
        public class Post {
            public static void main(String[] arguments) throws Exception {
                var client = HttpClient.newHttpClient();
                for (int i = 0; i < 2; i++) {
                    var request = HttpRequest.newBuilder(URI.create(arguments[0]))
                        .header("Content-Type", "application/json")
                        .POST(HttpRequest.BodyPublishers.ofString(arguments[1])).build();
                    System.out.println(client.send(request, HttpResponse.BodyHandlers.ofString()).statusCode());
                }
            }
        }""")
    url = f"http://{app.http_address}/v1/chat/completions"

    def run() -> str:
        subprocess.run(["javac", "Post.java"], cwd=tmp_path, check=True, timeout=120)
        done = subprocess.run(
            ["java", "-cp", str(tmp_path), "Post", url, BODY.decode()], check=True, timeout=120, capture_output=True
        )
        return done.stdout.decode()

    assert (await asyncio.to_thread(run)).split() == ["200", "200"]


@pytest.mark.skipif(shutil.which("curl") is None, reason="no curl on this machine")
async def test_curls_own_offer(app: App) -> None:
    command = ("curl", "-sS", "--http2", "-H", "content-type: application/json", "-d", BODY.decode())
    process = await asyncio.create_subprocess_exec(
        *command, f"http://{app.http_address}/v1/chat/completions", stdout=asyncio.subprocess.PIPE
    )
    output, _ = await process.communicate()
    assert b'"model":"coder"' in output
