"""Bodies that come compressed."""

import gzip
import zlib

import httpx2
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serve.doors.http_api.content_coding import decoder, gunzip
from serve.errors import MalformedBody, PayloadTooLarge, UnsupportedMediaType
from tests.helpers import CHAT

BODY = {"model": "coder", "messages": [{"role": "user", "content": "hello"}]}
PACKED = gzip.compress(orjson.dumps(BODY), mtime=0)  # a test's name, which must be the same in every process


@pytest.mark.parametrize("coding", [b"gzip", b" GZip ", b"x-gzip"])
def test_gzip_has_a_decoder_under_both_of_its_names(coding: bytes) -> None:
    decode = decoder(coding)
    assert decode is not None
    assert decode(gzip.compress(b"{}"), 2) == b"{}"


@pytest.mark.parametrize("coding", [b"", b"identity", b" Identity"])
def test_nothing_to_unpack_has_none(coding: bytes) -> None:
    assert decoder(coding) is None


@pytest.mark.parametrize("coding", [b"br", b"gzip, gzip", b"identity, gzip", b"\xff", b"*"])
def test_others_are_refused_and_told_which_are_not(coding: bytes) -> None:
    with pytest.raises(UnsupportedMediaType) as refused:
        decoder(coding)
    assert refused.value.param == "content-encoding"
    assert ("accept-encoding", "gzip, identity") in refused.value.headers


def test_an_empty_body_is_empty() -> None:
    assert gunzip(b"", 0) == b""


class TestEncodings:
    async def ask(self, http: httpx2.AsyncClient, body: bytes, coding: str) -> httpx2.Response:
        headers = {"content-type": "application/json", "content-encoding": coding}
        return await http.post(CHAT, content=body, headers=headers)

    @pytest.mark.parametrize("coding", ["gzip", "GZIP", "x-gzip"])
    async def test_gzip(self, http: httpx2.AsyncClient, coding: str) -> None:
        answer = await self.ask(http, gzip.compress(orjson.dumps(BODY)), coding)
        assert answer.json()["model"] == "coder"

    async def test_several_members(self, http: httpx2.AsyncClient) -> None:
        raw = orjson.dumps(BODY)
        answer = await self.ask(http, gzip.compress(raw[:10]) + gzip.compress(raw[10:]), "gzip")
        assert answer.json()["model"] == "coder"

    @pytest.mark.parametrize("coding", ["identity", ""])
    async def test_nothing_to_unpack(self, http: httpx2.AsyncClient, coding: str) -> None:
        assert (await self.ask(http, orjson.dumps(BODY), coding)).status_code == 200

    @pytest.mark.parametrize("coding", ["br", "zstd", "deflate", "compress", "gzip, gzip", "gzip, br", "x"])
    async def test_others_are_refused_by_name(self, http: httpx2.AsyncClient, coding: str) -> None:
        answer = await self.ask(http, zlib.compress(orjson.dumps(BODY)), coding)
        assert (answer.status_code, answer.json()["error"]["param"]) == (415, "content-encoding")
        assert answer.headers["accept-encoding"] == "gzip, identity"

    @pytest.mark.parametrize(
        "body",
        [
            orjson.dumps(BODY),
            PACKED[:-3],
            PACKED[:4],
            PACKED + b"rest",
            zlib.compress(orjson.dumps(BODY)),
            PACKED[:-8] + bytes(8),
        ],
    )
    async def test_what_is_not_gzip(self, http: httpx2.AsyncClient, body: bytes) -> None:
        answer = await self.ask(http, body, "gzip")
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_json")
        assert "gzip" in answer.json()["error"]["message"]

    @pytest.mark.parametrize("size", [4 * 2**20 + 1, 64 * 2**20])
    async def test_bombs(self, http: httpx2.AsyncClient, size: int) -> None:
        packer = zlib.compressobj(9, wbits=31)
        bomb = b"".join(packer.compress(bytes(2**20)) for _ in range(size >> 20)) + packer.compress(bytes(size % 2**20))
        answer = await self.ask(http, bomb + packer.flush(), "gzip")
        assert (answer.status_code, answer.json()["error"]["code"]) == (413, "payload_too_large")

    def test_a_bomb_of_many_members(self) -> None:
        with pytest.raises(PayloadTooLarge):
            gunzip(gzip.compress(bytes(600)) * 3, 1024)

    @settings(max_examples=50, deadline=None)
    @given(content=st.binary(max_size=2000), bound=st.integers(0, 2000))
    def test_the_bound_is_exact(self, content: bytes, bound: int) -> None:
        packed = gzip.compress(content)
        if len(content) <= bound:
            assert gunzip(packed, bound) == content
        else:
            with pytest.raises(PayloadTooLarge):
                gunzip(packed, bound)

    @settings(max_examples=50, deadline=None)
    @given(packed=st.binary(min_size=1, max_size=60))
    def test_any_bytes(self, packed: bytes) -> None:
        with pytest.raises((MalformedBody, PayloadTooLarge)):
            gunzip(packed, 1000)
