"""What a page of somebody else's can do to a gateway without keys, in a real Chromium: nothing.

Each way that a page has to make a browser send something is tried from another origin, and from a name that has come
to point at this machine (DNS rebinding). No expert is asked, and nothing is stored.
"""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from serve.app import App
from tests.browser import needs_browser
from tests.fakes.expert_server import FakeExperts

pytestmark = [needs_browser, pytest.mark.slow]

CHAT = '{"model": "coder", "messages": [{"role": "user", "content": "hi"}]}'
RATING = '{"response_id": "chatcmpl-invented", "rating": 1}'
ATTEMPTS = {
    "fetch": "fetch(url, {method: 'POST', body, headers: {'content-type': 'application/json'}})",
    "fetch without CORS": "fetch(url, {method: 'POST', body, mode: 'no-cors'})",
    "a blob without a type": "fetch(url, {method: 'POST', body: new Blob([body]), mode: 'no-cors'})",
    "a typed blob": "fetch(url, {method: 'POST', body: new Blob([body], {type: 'text/plain'}), mode: 'no-cors'})",
    "a beacon": "navigator.sendBeacon(url, body)",
    "a beacon of JSON": "navigator.sendBeacon(url, new Blob([body], {type: 'application/json'}))",
    "XMLHttpRequest": "(() => { const x = new XMLHttpRequest(); x.open('POST', url); x.send(body); })()",
    "a form": """(() => {
        const form = document.createElement('form'), field = document.createElement('input');
        [form.action, form.method, form.enctype, form.target] = [url, 'POST', 'text/plain', 'frame'];
        [field.name, field.value] = [body.slice(0, -1) + ', "x": "', '"}'];
        document.body.append(Object.assign(document.createElement('iframe'), {name: 'frame'}), form);
        form.append(field);
        form.submit();
    })()""",
    "an image": "(() => { new Image().src = url; })()",
    "an event source": "(() => { new EventSource(url); })()",
    "a web socket": "(() => { new WebSocket(url.replace('http', 'ws')); })()",
    "a worker": """new Promise(done => {
        const code = `fetch(${JSON.stringify(url)}, {method: 'POST', body: ${JSON.stringify(body)}, mode: 'no-cors'})`;
        const worker = new Worker(URL.createObjectURL(new Blob([code + '.finally(() => postMessage(0))'])));
        worker.onmessage = worker.onerror = done;
    })""",
}


@pytest.fixture
def overrides(tmp_path: Path) -> dict[str, Any]:
    return {"feedback": {"path": str(tmp_path / "feedback.sqlite3")}}


@pytest_asyncio.fixture
async def stranger() -> AsyncIterator[str]:
    """Somebody else's web server; yields its port."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        page = b"<!doctype html><title>x</title><body></body>"
        head = b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\nconnection: close\r\ncontent-length: %d\r\n\r\n"
        writer.write(head % len(page) + page)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    yield str(server.sockets[0].getsockname()[1])
    server.close()


async def attempt(page: Any, how: str, url: str, body: str) -> None:
    script = f"([url, body]) => Promise.resolve({ATTEMPTS[how]}).catch(() => null).then(() => null)"
    await page.evaluate(script, [url, body])


def ratings(app: App) -> float:
    families = app.metrics.registry.collect()
    samples = [sample for family in families for sample in family.samples]
    return sum(
        sample.value
        for sample in samples
        if sample.name.startswith("moegate_feedback") and "_created" not in sample.name
    )


async def assert_nothing_happened(page: Any, app: App, experts: FakeExperts) -> None:
    await page.wait_for_timeout(500)
    assert [len(script.requests) for script in experts.scripts.values()] == [0] * len(experts.scripts)
    assert ratings(app) == 0


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "evil.example"])
async def test_a_page_of_another_origin(browser: Any, app: App, experts: FakeExperts, stranger: str, host: str) -> None:
    gateway = f"http://{app.http_address}"
    page = await browser.new_page()
    await page.goto(f"http://{host}:{stranger}/")
    for how in ATTEMPTS:
        for path, body in (("/v1/chat/completions", CHAT), ("/v1/messages", CHAT), ("/v1/feedback", RATING)):
            await attempt(page, how, gateway + path, body)
    await assert_nothing_happened(page, app, experts)


async def test_a_name_that_has_come_to_point_here(browser: Any, app: App, experts: FakeExperts) -> None:
    port = app.http_address.rpartition(":")[2]
    page = await browser.new_page()
    await page.goto(f"http://rebound.example:{port}/health")  # the gateway itself, by the stranger's name
    for how in ("fetch", "a beacon of JSON", "XMLHttpRequest"):
        for path, body in (("/v1/chat/completions", CHAT), ("/v1/feedback", RATING)):
            await attempt(page, how, path, body)
    status = await page.evaluate("fetch('/v1/models').then(answer => answer.status)")
    assert status == 403
    await assert_nothing_happened(page, app, experts)


async def test_the_gateways_own_page_may(browser: Any, app: App, experts: FakeExperts) -> None:
    """So it is not the attempts that cannot work."""
    page = await browser.new_page()
    await page.goto(f"http://{app.http_address}/")
    await attempt(page, "fetch", "/v1/chat/completions", CHAT)
    assert len(experts["coder"].requests) == 1
