"""Vectors come from any server of OpenAI's embeddings; what it refuses is said by name."""

from collections.abc import Iterator

import numpy as np
import pytest

from router.errors import EncoderError
from router.training.embeddings import Embeddings
from tests.fakes.embedding_server import EmbeddingServer, letters_of


@pytest.fixture
def server() -> Iterator[EmbeddingServer]:
    with EmbeddingServer() as one:
        yield one


def test_each_text_is_encoded_once(server: EmbeddingServer) -> None:
    encode = Embeddings(f"{server.url}/v1/")
    found = encode(["abba", "cab", "abba"])
    assert found.shape == (3, 27)
    assert np.linalg.norm(found, axis=1) == pytest.approx(1)
    assert found[0] == pytest.approx(letters_of("abba") / np.linalg.norm(letters_of("abba")))
    encode(["cab"])
    assert server.asked == [["abba", "cab"]]
    assert encode.model == "by-letters"


def test_many_texts_go_in_pieces(server: EmbeddingServer) -> None:
    texts = [f"text {number}" for number in range(300)]
    assert len(Embeddings(server.url)(texts)) == 300
    assert [len(asked) for asked in server.asked] == [128, 128, 44]


def test_the_end_of_a_text_that_is_too_long_is_left_unread(server: EmbeddingServer) -> None:
    server.longest = 10
    long, other = Embeddings(server.url)(["a" * 12 + "b" * 12, "cab"])
    assert long == pytest.approx(letters_of("a" * 6) / np.linalg.norm(letters_of("a" * 6)))
    assert other == pytest.approx(letters_of("cab") / np.linalg.norm(letters_of("cab")))


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ((401, b'{"error": {"code": "invalid_api_key"}}'), "HTTP 401"),
        ((400, b"no JSON"), "HTTP 400"),
        ((400, b'{"error": {"code": "context_length_exceeded", "param": null}}'), "HTTP 400"),
        ((200, b"no JSON"), "cannot be reached"),
        ((200, b"{}"), "another form"),
        ((200, b'{"model": "m", "data": [{"embedding": "abc"}]}'), "another form"),
    ],
)
def test_what_goes_wrong_is_said(server: EmbeddingServer, answer: tuple[int, bytes], words: str) -> None:
    server.answer = answer
    with pytest.raises(EncoderError, match=words):
        Embeddings(server.url)(["secret words"])


def test_nobody_is_there() -> None:
    with EmbeddingServer() as server:
        url = server.url
    with pytest.raises(EncoderError, match="cannot be reached"):
        Embeddings(url)(["a"])
