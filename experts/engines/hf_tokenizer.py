"""A Hugging Face tokeniser for the Neuron engine: chat template, ids, exact bytes back, ends of an answer.

Used only in the engine process; works with transformers 4.57 (which optimum-neuron pins) and 5. It knows both kinds of
Llama vocabulary: byte-level BPE (Llama 3, SmolLM2), whose pieces spell bytes as printable characters, and SentencePiece
with byte fallback (Llama 2).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from experts.engine import InvalidRequest, Turn
from experts.engines.control_tokens import neutralise
from experts.engines.detokenizer import Detokenizer

_BYTE_FALLBACK = re.compile(r"<0x([0-9A-Fa-f]{2})>")


class HFTokenizer:
    """A Hugging Face tokeniser, behind `experts.engines.neuron.Tokenizer`."""

    def __init__(self, tokenizer: Any, end_tokens: frozenset[int]) -> None:  # noqa: ANN401  # the library's classes vary
        self._tokenizer = tokenizer
        self._end_tokens = end_tokens
        added = tokenizer.added_tokens_decoder
        self._control_texts = tuple(str(token) for token in added.values() if token.special)
        known = piece_bytes(tokenizer.get_vocab(), json.loads(tokenizer.backend_tokenizer.to_str())["decoder"])
        known |= {number: b"" if token.special else str(token).encode() for number, token in added.items()}
        self._table = tuple(known.get(number, b"") for number in range(max(known) + 1))
        self._longest = max(map(len, (*self._table, *self._control_texts)))

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read the tokeniser and the generation config that lie beside the weights."""
        from transformers import AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained(str(folder))
        return cls(tokenizer, end_tokens_of(folder, tokenizer.eos_token_id))

    @property
    def end_tokens(self) -> frozenset[int]:
        """The ids that end an answer."""
        return self._end_tokens

    def encode(self, prompt: tuple[Turn, ...] | str, most_tokens: int) -> list[int]:
        """Tokenise; only as many characters as `most_tokens` and one more token could cover."""
        text = prompt if isinstance(prompt, str) else self._apply_template(prompt)
        most_characters = (most_tokens + 1) * self._longest  # of which no token covers more than `longest`
        tokens: list[int] = self._tokenizer.encode(text[:most_characters], add_special_tokens=False)
        return tokens

    def detokenizer(self) -> Detokenizer:
        """Return a new detokeniser over the shared table."""
        return Detokenizer(self._table)

    def _apply_template(self, turns: tuple[Turn, ...]) -> str:
        messages = [{"role": t.role, "content": neutralise(t.content, self._control_texts)} for t in turns]
        try:
            return str(self._tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False))
        except Exception as error:  # templates are programs: jinja2's errors, and whatever they raise
            if type(error).__module__.startswith("jinja2"):
                raise InvalidRequest("the model's chat template refuses this order of roles") from None
            raise


def piece_bytes(vocabulary: Mapping[str, int], decoder: object) -> dict[int, bytes]:
    """Return the bytes that each id stands for; two ids may stand for the same.

    Args:
        vocabulary: pieces to ids.
        decoder: the `decoder` section of tokenizer.json.

    Raises:
        ValueError: it is of neither known kind.
    """
    kinds = set(re.findall(r'"type": "(\w+)"', json.dumps(decoder)))
    if "ByteLevel" in kinds:
        known = _printable_bytes()
        return {
            number: bytes(known[character] for character in piece)
            for piece, number in vocabulary.items()
            if all(character in known for character in piece)
        }
    if "ByteFallback" in kinds:
        return {number: _fallback_bytes(piece) for piece, number in vocabulary.items()}
    raise ValueError(f"the tokeniser's decoder is neither ByteLevel nor ByteFallback but {sorted(kinds)}")


def end_tokens_of(folder: Path, fallback: int | None) -> frozenset[int]:
    """Read which ids end an answer: generation_config.json, then config.json, then the tokeniser's own."""
    for name in ("generation_config.json", "config.json"):
        try:
            ends = json.loads((folder / name).read_text("utf-8")).get("eos_token_id")
        except (OSError, ValueError):
            continue
        if ends is not None:
            return frozenset([ends] if isinstance(ends, int) else ends)
    return frozenset(() if fallback is None else [fallback])


def _fallback_bytes(piece: str) -> bytes:
    match = _BYTE_FALLBACK.fullmatch(piece)
    return bytes([int(match.group(1), 16)]) if match else piece.replace("▁", " ").encode()


def _printable_bytes() -> dict[str, int]:
    """Map GPT-2's printable stand-ins back to bytes: printable Latin-1 stands for itself, the rest for 256 and up."""
    own = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in own]
    return {chr(byte): byte for byte in own} | {chr(256 + index): byte for index, byte in enumerate(others)}
