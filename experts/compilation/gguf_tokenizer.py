"""A byte-level BPE tokeniser of Hugging Face's form (tokenizer.json) as GGUF's metadata.

`gguf_from_folder` writes it beside the weights. OpenVINO GenAI splits text before BPE by a table of its own, whose
key is `tokenizer.ggml.pre`: of the ways of splitting that Llamas have, it knows two, and only these are taken.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

_NORMAL, _CONTROL, _USER_DEFINED, _UNUSED = 1, 3, 4, 5  # llama.cpp's token types
_SEVERAL_DIGITS: Final = re.compile(r"\d{2,}")
_SPECIAL: Final = ("bos", "eos", "unk", "pad")


class OtherTokenizer(ValueError):
    """The tokeniser is not one that the CPU engine has; the message says what is."""


def add_tokenizer(writer: Any, folder: Path, vocab_size: int) -> None:  # noqa: ANN401  # gguf ships no types
    """Write the folder's tokeniser and chat template as metadata.

    Raises:
        OtherTokenizer: it is another kind of tokeniser, or has no chat template.
    """
    tokenizer = _read(folder / "tokenizer.json")
    config = _read(folder / "tokenizer_config.json")
    tokens, kinds = _vocabulary(tokenizer, vocab_size)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre_tokenizer(tokenizer))
    writer.add_token_list(tokens)
    writer.add_token_types(kinds)
    writer.add_token_merges(
        [pair if isinstance(pair, str) else " ".join(pair) for pair in tokenizer["model"]["merges"]]
    )
    numbers = {token: number for number, token in enumerate(tokens)}
    special = {name: numbers.get(_content(config.get(f"{name}_token"))) for name in _SPECIAL}
    if special["eos"] is None:
        raise OtherTokenizer("tokenizer_config.json names no eos_token of the vocabulary, which ends an answer")
    for name, number in special.items():
        if number is not None:
            getattr(writer, f"add_{name}_token_id")(number)
    writer.add_add_bos_token(False)  # the chat template says where it belongs
    writer.add_add_space_prefix(False)
    writer.add_chat_template(_chat_template(folder, config))


def pre_tokenizer(tokenizer: Mapping[str, Any]) -> str:
    """Name the way in which text is split before BPE, as llama.cpp and OpenVINO know it.

    Raises:
        OtherTokenizer: it is none that OpenVINO has.
    """
    model, steps = tokenizer["model"], _steps(tokenizer.get("pre_tokenizer"))
    if model.get("type") != "BPE" or not any(step.get("type") == "ByteLevel" for step in steps):
        raise OtherTokenizer("the tokeniser is no byte-level BPE, which the CPU engine needs")
    if any("\\p{N}{1,3}" in _pattern(step) for step in steps):
        return "llama-bpe"  # Llama 3's
    # SmolLM's splits digits; where no piece joins two of them, that is the same as not splitting them.
    splits_digits = any(step.get("type") == "Digits" and step.get("individual_digits") for step in steps)
    if splits_digits or not any(_SEVERAL_DIGITS.search(piece) for piece in model["vocab"]):
        return "smollm"
    raise OtherTokenizer("the tokeniser splits text in a way that OpenVINO's GGUF reader does not have")


def _vocabulary(tokenizer: Mapping[str, Any], size: int) -> tuple[list[str], list[int]]:
    """Return every piece by its number, and its type; numbers without a piece are unused."""
    tokens, kinds = [f"[PAD{number}]" for number in range(size)], [_UNUSED] * size
    added = {
        one["content"]: (one["id"], _CONTROL if one["special"] else _USER_DEFINED) for one in tokenizer["added_tokens"]
    }
    for piece, (number, kind) in {**{p: (n, _NORMAL) for p, n in tokenizer["model"]["vocab"].items()}, **added}.items():
        if number >= size:
            raise OtherTokenizer(f"the tokeniser has more pieces than the model's vocab_size, {size}")
        tokens[number], kinds[number] = piece, kind
    return tokens, kinds


def _steps(pre: Any) -> list[dict[str, Any]]:  # noqa: ANN401  # JSON
    if not isinstance(pre, dict):
        return []
    return list(pre.get("pretokenizers", ())) if pre.get("type") == "Sequence" else [pre]


def _pattern(step: Mapping[str, Any]) -> str:
    pattern = step.get("pattern")
    return str(pattern.get("Regex", "")) if isinstance(pattern, dict) else ""


def _content(token: Any) -> str:  # noqa: ANN401  # a text, or an object with one
    return str(token.get("content", "")) if isinstance(token, dict) else str(token or "")


def _chat_template(folder: Path, config: Mapping[str, Any]) -> str:
    file = folder / "chat_template.jinja"
    template = file.read_text("utf-8") if file.is_file() else config.get("chat_template")
    if isinstance(template, list):
        template = next((one["template"] for one in template if one.get("name") == "default"), None)
    if not isinstance(template, str) or not template.strip():
        raise OtherTokenizer("there is no chat template: name an instruction-tuned model")
    return template


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise OtherTokenizer(f"{path.name} cannot be read: {type(error).__name__}") from None
    if not isinstance(content, dict):
        raise OtherTokenizer(f"{path.name} is not a JSON object")
    return content
