"""Texts that `router.training.suspicion` learns from: files of prompts, hand-written seeds, and compositions.

A public set of attacks is cut in two halves by `halves`: near copies (templates, one user's versions of a prompt) stay
on the same side, and what its readers have seen is on the side that is learned from.
"""

import json
import random
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from router.errors import DatasetError
from router.training.dataset import read_json_lines

SEEDS: Final = Path(__file__).parent / "guard_seeds"
JAILBREAK, INJECTION, DOCUMENT, BENIGN, BENIGN_DOCUMENT = (
    "jailbreak",
    "injection",
    "document",
    "benign",
    "benign_document",
)
HAND: Final = "hand"
SHARED: Final = 0.25  # of the smaller text's runs of five words: then two are copies of one another
_RUN: Final = 5
_TEXT_KEYS: Final = ("prompt", "user_input", "text", "full_text")
_SYSTEM_KEYS: Final = ("test_case_prompt", "system")
_WRAPPERS: Final = ("persuade", "override", "pretend", "filler", "format")


@dataclass(frozen=True, slots=True)
class Sample:
    """A text.

    Attributes:
        source: the file it is from.
        text: a user's turn, or a piece of a document.
        kind: one of the kinds above.
        system: the system prompt that it came with.
        is_attack_alone: it is one without its system prompt, too; Purple Llama marks those that are not.
    """

    source: str
    text: str
    kind: str
    system: str = ""
    is_attack_alone: bool = True


def read_samples(path: Path, kind: str) -> list[Sample]:
    """Read a file of prompts in any of the forms that people publish; of a conversation, each of its users' turns.

    Raises:
        DatasetError: it cannot be read, or a row holds no text.
    """
    source = path.name.split(".", maxsplit=1)[0]
    found: list[Sample] = []
    for number, row in read_json_lines(path):
        texts = list(_texts(row))
        if not texts:
            raise DatasetError(f"{path.name}:{number}: no text")
        alone = row.get("risk_category") != "logic-violating"
        found += [Sample(source, text, str(row.get("kind") or kind), _system(row), alone) for text in texts]
    return found


def read_seeds(folder: Path = SEEDS) -> list[Sample]:
    """Read the hand-written ones."""
    return [Sample(HAND, str(row["text"]), str(row["kind"])) for _, row in read_json_lines(folder / "seeds.jsonl")]


def _texts(row: Mapping[str, Any]) -> Iterable[str]:
    if isinstance(row.get("messages"), list):
        users = (turn.get("content") for turn in row["messages"] if turn.get("role") == "user")
        return [text for text in users if isinstance(text, str) and text.strip()]
    return [str(row[key]) for key in _TEXT_KEYS if isinstance(row.get(key), str)][:1]


def _system(row: Mapping[str, Any]) -> str:
    if isinstance(row.get("messages"), list):
        return "\n".join(
            turn["content"]
            for turn in row["messages"]
            if turn.get("role") == "system" and isinstance(turn.get("content"), str)
        )
    return next((str(row[key]) for key in _SYSTEM_KEYS if isinstance(row.get(key), str)), "")


def halves(samples: Sequence[Sample], read: Collection[int] = ()) -> tuple[list[Sample], list[Sample]]:
    """Part attacks into those to learn from and those to judge by, copies together; `read`: places seen by people."""
    groups = _groups([sample.text for sample in samples])
    known = [group for group in groups if set(group) & set(read)]
    rest = [group for group in groups if not set(group) & set(read)]
    random.Random(0).shuffle(rest)
    learned = [at for group in known for at in group]
    judged: list[int] = []
    for group in rest:
        (learned if len(learned) < len(samples) / 2 else judged).extend(group)
    return [samples[at] for at in learned], [samples[at] for at in judged]


def _groups(texts: Sequence[str]) -> list[list[int]]:
    """Put copies together: whatever is linked by a chain of copies is one group."""
    runs = [_runs(text) for text in texts]
    parent = list(range(len(texts)))

    def root(at: int) -> int:
        while parent[at] != at:
            parent[at] = at = parent[parent[at]]
        return at

    for one in range(len(texts)):
        for other in range(one):
            if len(runs[one] & runs[other]) >= SHARED * min(len(runs[one]), len(runs[other])):
                parent[root(one)] = root(other)
    groups: dict[int, list[int]] = {}
    for at in range(len(texts)):
        groups.setdefault(root(at), []).append(at)
    return list(groups.values())


def _runs(text: str) -> set[tuple[str, ...]]:
    words = ["0" if word.isdigit() else word for word in re.findall(r"\w+", text.lower())]
    return {tuple(words[at : at + _RUN]) for at in range(max(1, len(words) - _RUN + 1))}


class Parts:
    """Puts attacks together out of hand-written parts."""

    def __init__(self, seed: int = 0, folder: Path = SEEDS) -> None:
        self._parts: dict[str, list[str]] = json.loads((folder / "parts.json").read_text(encoding="utf-8"))
        self._random = random.Random(seed)

    def injections(self, count: int) -> list[Sample]:
        """Requests for what an operator withholds, bare or dressed up."""
        return [Sample("parts", text, INJECTION) for text in sorted({self._injection() for _ in range(count)})]

    def withheld(self, count: int) -> list[Sample]:
        """The same under a system prompt that withholds it."""
        return [Sample("parts", self._injection(), INJECTION, self._prompt()) for _ in range(count)]

    def documents(self, carriers: Sequence[str], count: int) -> list[Sample]:
        """Pieces of documents with a command to the model in them."""
        found = []
        for _ in range(count):
            carrier = self._random.choice(carriers)[: self._random.choice((0, 80, 160, 220))]
            command = self._one("address") + self._one("command")
            parts = [carrier, command] if self._random.random() < 0.7 else [command, carrier]
            joint = self._random.choice((" ", "\n", ". "))
            found.append(Sample("parts", joint.join(part for part in parts if part), DOCUMENT))
        return found

    def _one(self, name: str) -> str:
        return self._random.choice(self._parts[name])

    def _ask(self) -> str:
        if self._random.random() < 0.55:
            return self._one("ask_secret").format(secret=self._one("secrets"))
        return self._one("ask_fact").format(person=self._one("people"), fact=self._one("facts"))

    def _injection(self) -> str:
        kind = self._random.choice(("bare", "about_secret", "foreign", "instructions", *_WRAPPERS))
        if kind in ("foreign", "instructions"):
            text = self._one(kind)
        elif kind == "about_secret":
            text = self._one(kind).format(secret=self._one("secrets"))
        else:
            text = self._ask()
        if kind in _WRAPPERS:
            text = self._one(kind).format(ask=text)
        return self._one("format").format(ask=text) if self._random.random() < 0.1 else text

    def _prompt(self) -> str:
        secret, person, fact = self._one("secrets"), self._one("people"), self._one("facts")
        return self._one("prompts").format(secret=secret, person=person, fact=fact)
