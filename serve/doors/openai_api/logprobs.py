"""Log probabilities in OpenAI's forms: chat's and Responses' list of objects, and completions' lists of one length.

Sources: https://platform.openai.com/docs/api-reference/chat/object and .../completions/object.
"""

import codecs
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from protos import chat_pb2 as chat

LogprobForm = Callable[[Iterable[chat.TokenLogprob]], dict[str, Any]]
"""Writes the log probabilities of tokens that follow those it wrote before."""


def chat_logprobs(tokens: Iterable[chat.TokenLogprob]) -> dict[str, Any]:
    """A choice's `logprobs` of /v1/chat/completions."""
    return {"content": token_objects(tokens), "refusal": None}


def token_objects(tokens: Iterable[chat.TokenLogprob]) -> list[dict[str, Any]]:
    """Tokens, each with the likeliest in its place."""
    return [{**_told(token), "top_logprobs": list(map(_told, token.top))} for token in tokens]


def without_bytes(tokens: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The same tokens without their lists of bytes, as the events of /v1/responses have them."""
    return [
        {
            "token": token["token"],
            "logprob": token["logprob"],
            "top_logprobs": [{"token": one["token"], "logprob": one["logprob"]} for one in token["top_logprobs"]],
        }
        for token in tokens
    ]


class TextLogprobs:
    """A choice's `logprobs` of /v1/completions; one object writes one choice, in pieces or whole."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._offset = 0  # characters of the answer so far

    def __call__(self, tokens: Iterable[chat.TokenLogprob]) -> dict[str, Any]:
        """Write what follows."""
        tokens = list(tokens)
        return {
            "tokens": [token_text(token.token) for token in tokens],
            "token_logprobs": [token.logprob for token in tokens],
            "top_logprobs": list(map(_by_text, tokens)) if any(token.top for token in tokens) else None,
            "text_offset": [self._place(token.token) for token in tokens],
        }

    def _place(self, token: bytes) -> int:
        place = self._offset
        self._offset += len(self._decoder.decode(token))
        return place


def token_text(token: bytes) -> str:
    """A token as text; one that is a part of a character is told byte by byte, as OpenAI does."""
    try:
        return token.decode()
    except UnicodeDecodeError:
        return "bytes:" + "".join(f"\\x{byte:02x}" for byte in token)


def _told(token: chat.TokenLogprob) -> dict[str, Any]:
    return {"token": token_text(token.token), "logprob": token.logprob, "bytes": list(token.token)}


def _by_text(token: chat.TokenLogprob) -> dict[str, float]:
    """The likeliest tokens by their text, the chosen one among them."""
    return {token_text(one.token): one.logprob for one in _with(token)}


def _with(token: chat.TokenLogprob) -> Sequence[chat.TokenLogprob]:
    return token.top if any(one.token == token.token for one in token.top) else [*token.top, token]
