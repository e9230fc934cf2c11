"""Rows that a search is judged by: questions, and the passages among which each has its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experts.evaluation.suites.rows import RowError, read_rows
from experts.retrieval.store import Passage


@dataclass(frozen=True, slots=True)
class Pool:
    """All rows' passages, each text once, and the questions that have one among them.

    Attributes:
        passages: whose ids are their places.
        questions: with the place of the passage that each is about.
    """

    passages: tuple[Passage, ...]
    questions: tuple[tuple[str, int], ...]


def read_pool(path: Path) -> Pool:
    """Read rows `{question, passages, gold}`; a passage is a text or `{title, text}`, `gold` counts from 1 or is null.

    Raises:
        RowError: the file cannot be read, or a row is not of that form.
    """
    places: dict[tuple[str, str], int] = {}
    questions = []
    for number, row in enumerate(read_rows(path), 1):
        try:
            texts = [_passage(passage) for passage in row["passages"]]
            here = [places.setdefault(text, len(places)) for text in texts]
            gold = row.get("gold")
            if gold is not None:
                questions.append((str(row["question"]), here[_place(gold, here)]))
        except (KeyError, TypeError, ValueError, IndexError):
            raise RowError(f"{path}: row {number} is not {{question, passages, gold}}") from None
    if not questions:
        raise RowError(f"{path}: no row has a gold passage")
    passages = tuple(Passage(str(place), "pool", title, f"{place}", text) for (title, text), place in places.items())
    return Pool(passages, tuple(questions))


def _place(gold: object, passages: Sequence[int]) -> int:
    if not isinstance(gold, int) or isinstance(gold, bool) or not 1 <= gold <= len(passages):
        raise ValueError
    return gold - 1


def _passage(passage: str | Mapping[str, Any]) -> tuple[str, str]:
    if isinstance(passage, str):
        return "", passage
    return str(passage.get("title") or ""), str(passage["text"])
