"""The page's form and coding follow the reader's preferences."""

import gzip

import httpx2
import pytest

from serve.app import App
from serve.doors.http_api.metrics_page import weights

PROMETHEUS = "application/openmetrics-text;version=1.0.0;q=0.6,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        (PROMETHEUS, "application/openmetrics-text"),
        ("application/openmetrics-text;q=0.1, text/plain;q=0.9", "text/plain"),
        ("application/openmetrics-text;q=0", "text/plain"),
        ("application/openmetrics-text", "application/openmetrics-text"),
        ("*/*", "text/plain"),
        ("", "text/plain"),
    ],
)
async def test_the_form_that_weighs_most(http: httpx2.AsyncClient, accept: str, kind: str) -> None:
    response = await http.get("/metrics", headers={"accept": accept})
    assert response.headers["content-type"].startswith(kind)
    assert ("# EOF" in response.text) == (kind != "text/plain")


@pytest.mark.parametrize(
    ("coding", "is_packed"),
    [("gzip", True), ("br, gzip;q=0.5", True), ("*", True), ("gzip;q=0", False), ("identity", False), ("", False)],
)
async def test_packed_where_the_reader_unpacks(app: App, coding: str, is_packed: bool) -> None:
    async with httpx2.AsyncClient(base_url=f"http://{app.http_address}") as http:
        async with http.stream("GET", "/metrics", headers={"accept-encoding": coding}) as response:
            raw = b"".join([part async for part in response.aiter_raw()])
        assert (response.headers.get("content-encoding") == "gzip") is is_packed
        page = gzip.decompress(raw) if is_packed else raw
        assert page.startswith(b"# HELP")
        assert len(raw) < len(page) / 4 or not is_packed


def test_weights() -> None:
    assert weights("a;q=0.5, b;x=1;q=0, c, A;q=0.7, d;q=x") == {"a": 0.7, "b": 0.0, "c": 1.0, "d": 0.0}
