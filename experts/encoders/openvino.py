"""A BERT sentence encoder on OpenVINO: tokenised, sorted by length, run in padded batches, put back in order."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, cast

import numpy as np

from experts.artifacts.store import Artifact
from experts.encoders.bert import BertShape, UnsupportedEncoder, build_bert, read_json
from experts.encoders.encoder import Encoding, Role, TextTooLong, Vectors

_BATCH: Final = 16  # texts of one run; more are no faster on a processor, and their padding costs more
_WIDEST: Final = 256  # tokens, where the model's own folder does not say how many its training had


class OpenVINOEncoder:
    """Runs on the processor, in this process; OpenVINO lets go of the interpreter's lock while it computes."""

    def __init__(self, model: Artifact, *, threads: int | None = None) -> None:
        """Load a folder of `config.json`, `tokenizer.json` and `model.safetensors`.

        Args:
            model: the folder, and the hash of its content.
            threads: processor threads; None: OpenVINO's choice.

        Raises:
            UnsupportedEncoder: it is not a model that can be run, or a library is missing.
        """
        # OpenVINO's package would fork a process, at its import, that tells its makers of it; where this module is
        # missing, it does not.
        cast(Any, sys.modules).setdefault("openvino_telemetry", None)
        try:
            import openvino as ov
            from tokenizers import Tokenizer
        except ImportError as error:
            raise UnsupportedEncoder("an encoder needs: pip install 'moegate[cpu,encoder]'") from error

        shape = BertShape.read(model.path)
        limits = read_json(model.path / "sentence_bert_config.json", default={})
        self._max_tokens = min(int(limits.get("max_seq_length") or _WIDEST), shape.positions)
        self._prefixes = _prefixes(model.path)
        self._tokenizer = _tokenizer(Tokenizer, model.path / "tokenizer.json")
        options: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY"}  # bfloat16 where the processor multiplies it
        if threads:
            options["INFERENCE_NUM_THREADS"] = threads
        self._compiled = ov.Core().compile_model(build_bert(model.path, shape), "CPU", options)
        self._artifact = model.sha256
        self._dimensions = int(self._compiled.output(1).get_partial_shape()[1].get_length())

    @property
    def dimensions(self) -> int:
        """The length of a vector."""
        return self._dimensions

    @property
    def max_tokens(self) -> int:
        """The most tokens of a text that are read."""
        return self._max_tokens

    @property
    def artifact(self) -> str:
        """The content hash of the model's folder."""
        return self._artifact

    def encode(
        self, texts: Sequence[str], role: Role, *, with_tokens: bool = False, truncate: bool = False
    ) -> Encoding:
        """Encode texts; see `Encode`."""
        prefix = self._prefixes.get(role, "")
        rows = [self._ids(number, prefix + text, truncate) for number, text in enumerate(texts)]
        pooled: Vectors = np.empty((len(rows), self._dimensions), np.float32)
        tokens: dict[int, Vectors] = {}
        order = sorted(range(len(rows)), key=lambda row: len(rows[row]))
        for start in range(0, len(order), _BATCH):
            batch = order[start : start + _BATCH]
            states, means = self._run([rows[row] for row in batch])
            pooled[batch] = means
            if with_tokens:
                tokens |= {row: states[place, : len(rows[row])].copy() for place, row in enumerate(batch)}
        counts = tuple(len(row) for row in rows)
        return Encoding(pooled, counts, tuple(tokens[row] for row in range(len(rows))) if with_tokens else ())

    def _ids(self, number: int, text: str, truncate: bool) -> list[int]:
        """Tokenise a text. Where it is too long, the last token that is left is the one that ends a text."""
        ids: list[int] = self._tokenizer.encode(text).ids
        if len(ids) <= self._max_tokens:
            return ids
        if not truncate:
            raise TextTooLong(f"text {number} has {len(ids)} tokens; at most {self._max_tokens} are read")
        return [*ids[: self._max_tokens - 1], ids[-1]]

    def _run(self, rows: Sequence[Sequence[int]]) -> tuple[Vectors, Vectors]:
        shape = (len(rows), max(map(len, rows)))
        ids, mask = np.zeros(shape, np.int64), np.zeros(shape, np.float32)
        for place, row in enumerate(rows):
            ids[place, : len(row)], mask[place, : len(row)] = row, 1
        done = self._compiled({"ids": ids, "mask": mask})
        return done[0], done[1]


def _tokenizer(kind: Any, path: Path) -> Any:  # noqa: ANN401  # the library is imported only where an encoder runs
    try:
        tokenizer = kind.from_file(str(path))
    except Exception as error:  # the library raises nothing narrower
        raise UnsupportedEncoder("tokenizer.json cannot be read") from error
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def _prefixes(folder: Path) -> dict[Role, str]:
    """Read what stands before a text of each role (sentence-transformers' `prompts`); most models want nothing."""
    prompts = read_json(folder / "config_sentence_transformers.json", default={}).get("prompts") or {}
    names = {Role.QUERY: ("query",), Role.PASSAGE: ("passage", "document")}
    return {role: next((prompts[name] for name in known if name in prompts), "") for role, known in names.items()}
