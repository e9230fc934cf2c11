"""What a server tells of each token, in either of OpenAI's forms: chat's list of objects, and completions' lists.

Sources: https://platform.openai.com/docs/api-reference/chat/object and .../completions/object. Nobody has
checked what is read here: it may raise what JSON of another form raises, and `experts.engines.upstream.reply` expects
that.
"""

from __future__ import annotations

from typing import Any, Final

from experts.engine import TokenLogprob

LEAST: Final = -9999.0
"""What OpenAI writes for a token that was not among the likeliest; JSON has no infinity."""


def read_logprobs(told: dict[str, Any]) -> tuple[TokenLogprob, ...]:
    """Read a choice's `logprobs`, whichever form it has."""
    if "tokens" in told:
        return _of_completion(told)
    return tuple(_of_chat(entry) for entry in told.get("content") or ())


def _of_chat(entry: dict[str, Any]) -> TokenLogprob:
    top = tuple(TokenLogprob(_bytes(one), _number(one["logprob"])) for one in entry.get("top_logprobs") or ())
    return TokenLogprob(_bytes(entry), _number(entry["logprob"]), top)


def _bytes(entry: dict[str, Any]) -> bytes:
    raw = entry.get("bytes")
    return str(entry["token"]).encode("utf-8", "replace") if raw is None else bytes(raw)


def _of_completion(told: dict[str, Any]) -> tuple[TokenLogprob, ...]:
    tokens, logprobs = told["tokens"], told["token_logprobs"]
    tops = told.get("top_logprobs") or [None] * len(tokens)
    return tuple(
        TokenLogprob(str(token).encode("utf-8", "replace"), _number(logprob), _ranked(top))
        for token, logprob, top in zip(tokens, logprobs, tops, strict=True)
    )


def _ranked(top: dict[str, Any] | None) -> tuple[TokenLogprob, ...]:
    ranked = sorted((top or {}).items(), key=lambda pair: -_number(pair[1]))
    return tuple(TokenLogprob(token.encode("utf-8", "replace"), _number(logprob)) for token, logprob in ranked)


def _number(value: Any) -> float:  # noqa: ANN401  # JSON that nobody has checked
    return LEAST if value is None else max(LEAST, float(value))
