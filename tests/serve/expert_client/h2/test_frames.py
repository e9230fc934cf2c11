"""What frames carry: heads as another implementation of HPACK reads them."""

import hpack
from hypothesis import given
from hypothesis import strategies as st

from serve.expert_client.h2.frames import header, request_head, secret_header

NAMES = st.from_regex(r"[a-z][a-z0-9-]{0,300}", fullmatch=True)
VALUES = st.from_regex(r"[!-~]{0,5000}", fullmatch=True)


@given(name=NAMES, value=VALUES)
def test_a_secret_header_is_read_and_never_indexed(name: str, value: str) -> None:
    [read] = hpack.Decoder(max_header_list_size=2**20).decode(secret_header(name.encode(), value.encode()))
    assert tuple(read) == (name, value)
    assert isinstance(read, hpack.NeverIndexedHeaderTuple)


@given(name=NAMES, value=VALUES)
def test_any_other_header_is_read_and_leaves_no_trace(name: str, value: str) -> None:
    decoder = hpack.Decoder(max_header_list_size=2**20)
    [read] = decoder.decode(header(name.encode(), value.encode()))
    assert tuple(read) == (name, value)
    assert not isinstance(read, hpack.NeverIndexedHeaderTuple)
    assert not decoder.header_table.dynamic_entries


def test_a_calls_head_says_what_grpc_asks_for() -> None:
    read = hpack.Decoder().decode(request_head("/a.Service/Method", "127.0.0.1:9000"))
    assert {tuple(pair) for pair in read} >= {
        (":method", "POST"),
        (":scheme", "http"),
        (":path", "/a.Service/Method"),
        (":authority", "127.0.0.1:9000"),
        ("te", "trailers"),
        ("content-type", "application/grpc"),
    }
