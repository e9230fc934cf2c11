"""How good the guard's rules for personal data are, by entity, and what the guard costs: an inside, measured.

`python -m loadtests.guard_figures --spans FILE` reads rows `{full_text, spans: [{entity_type, start_position,
end_position}], template_id}` (the form of Microsoft's presidio-research). It prints precision, recall and F1 for each
entity, for rows of even and of odd `template_id` apart. A finding is right where it overlaps a span of its entity.
Without `--spans` it prints the CPU time of a small request, of a stream of 50 tokens, and of the learned rules beside
what the router reads in any case; a decision without and with all of it tells whether that holds. One JSON line last.
"""

import argparse
import gzip
import json
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from experts.evaluation.suites.scores import share
from router.features.featurize import featurize_turn
from router.model.artifact import load
from router.model.gate import Gate
from serve.interactions.redaction import Redactor
from serve.routing.query import route_query
from serve.settings.interactions import InteractionsSettings
from serve.steps.guard.compiled import RuleSet
from serve.steps.guard.hit import Hit
from serve.steps.guard.masks import Masks
from serve.steps.guard.plain_text import plain
from serve.steps.guard.rules import GuardFile, Stage
from serve.steps.guard.stream import GuardedText

ENTITIES: Final = {
    "EMAIL_ADDRESS": "EMAIL",
    "CREDIT_CARD": "CARD",
    "IBAN_CODE": "IBAN",
    "IP_ADDRESS": "IP",
    "PHONE_NUMBER": "PHONE",
}
RULES: Final = GuardFile.model_validate(
    {
        "rules": [
            {"name": kind.replace("_", "-"), "find": {"kind": kind}, "at": ["input", "output"], "action": "mask"}
            for kind in ("personal_data", "credentials", "control_tokens")
        ]
    }
)
LEARNED: Final = GuardFile.model_validate(
    {
        "rules": [
            *({"name": rule.name, "find": rule.find, "at": rule.at, "action": rule.action} for rule in RULES.rules),
            {"name": "jailbreaks", "find": {"kind": "jailbreak"}, "at": ["input"]},
            {"name": "injections", "find": {"kind": "injection"}, "at": ["input", "documents"]},
        ]
    }
)
_SMALL: Final = (
    "Please write a short mail to my colleague about the meeting on Friday, and mention that it starts at 10."
)
_TOKENS: Final = ("The", " quick", " brown", " fox", " jumps", " over", " the", " lazy", " dog", ".") * 5
_ROUNDS: Final = 2000
_HALVES: Final = ("even", "odd")


def main() -> int:
    """Run the command; returns the process's exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--spans", type=Path, metavar="FILE", help="rows with spans, .jsonl or .jsonl.gz")
    parser.add_argument("--kept", action="store_true", help="what is masked of interactions that are kept, instead")
    options = parser.parse_args()
    figures = _costs() if options.spans is None else _by_entity(options.spans, _kept if options.kept else _guarded)
    print(json.dumps(figures))
    return 0


def _guarded() -> Callable[[str], Sequence[Hit]]:
    """What the guard's rules find in a text."""
    inspector = RuleSet(RULES).at(Stage.INPUT)
    assert inspector is not None
    return inspector.hits


def _kept() -> Callable[[str], Sequence[Hit]]:
    """What is masked in a text before an interaction is kept, by the settings' own choice of entities."""
    inspector = Redactor(InteractionsSettings().redact).inspector
    assert inspector is not None

    def hits(text: str) -> Sequence[Hit]:
        assert inspector is not None
        is_passed_by = inspector.hint is not None and not inspector.hint.search(plain(text))
        return [] if is_passed_by else inspector.hits(text)

    return hits


def _by_entity(path: Path, ways: Callable[[], Callable[[str], Sequence[Hit]]]) -> dict[str, Any]:
    """Precision, recall and F1 of each entity; the first two with Wilson's interval for all rows together."""
    hits = ways()
    counts: Counter[tuple[str, str, str]] = Counter()
    for row in _rows(path):
        half = "odd" if row["template_id"] % 2 else "even"
        found = [(hit.entity, hit.start, hit.end) for hit in hits(row["full_text"])]
        wanted = [
            (ENTITIES[span["entity_type"]], span["start_position"], span["end_position"])
            for span in row["spans"]
            if span["entity_type"] in ENTITIES
        ]
        for span in wanted:
            counts[half, span[0], "hit" if any(_same(one, span) for one in found) else "missed"] += 1
        for one in found:
            if one[0] in ENTITIES.values() and not any(_same(one, span) for span in wanted):
                counts[half, one[0], "wrong"] += 1
    figures: dict[str, Any] = {}
    table = Table("template", "entity", "n", "precision", "recall", "F1")
    for half in _HALVES:
        for entity in ENTITIES.values():
            hit, missed, wrong = (counts[half, entity, kind] for kind in ("hit", "missed", "wrong"))
            figure = {
                "n": hit + missed,
                "precision": _share(hit, hit + wrong),
                "recall": _share(hit, hit + missed),
                "f1": _share(2 * hit, 2 * hit + missed + wrong),
            }
            figures.setdefault(half, {})[entity] = figure
            table.add_row(half, entity, *map(str, figure.values()))
    for entity in ENTITIES.values():
        hit, missed, wrong = (
            sum(counts[half, entity, kind] for half in _HALVES) for kind in ("hit", "missed", "wrong")
        )
        precision, recall = share(hit, max(1, hit + wrong)), share(hit, max(1, hit + missed))
        figures.setdefault("all", {})[entity] = {"precision": precision.as_dict(), "recall": recall.as_dict()}
        figured = [f"{one.value:.3f} ({one.low:.3f} to {one.high:.3f})" for one in (precision, recall)]
        table.add_row("all", entity, str(hit + missed), *figured, "")
    Console(stderr=True).print(table)
    return figures


def _costs() -> dict[str, Any]:
    """CPU microseconds; medians over rounds."""
    rules = RuleSet(RULES)

    def small() -> None:
        inspector = rules.at(Stage.INPUT)
        assert inspector is not None
        inspector.hits(_SMALL)

    def stream() -> None:
        inspector = rules.at(Stage.OUTPUT)
        assert inspector is not None
        text = GuardedText(inspector, rules.rules, Masks(), lambda hits: None, hold_chars=rules.hold_chars)
        for token in _TOKENS:
            text.feed(token)
        text.flush()

    learned = RuleSet(LEARNED)
    gate = Gate(load())

    def decide() -> None:
        gate.by_expert(route_query(_SMALL))

    def guard_and_decide() -> None:
        inspector, weighers = learned.at(Stage.INPUT), learned.learned()
        assert inspector is not None
        assert weighers is not None
        inspector.hits(_SMALL)
        reader = weighers.reader()
        list(weighers.found(_SMALL, reader))
        gate.by_expert(route_query(_SMALL, reader.read))

    read = {_SMALL: featurize_turn(_SMALL)}

    def weigh() -> None:
        weighers = learned.learned()
        assert weighers is not None
        reader = weighers.reader()
        reader.read.update(read)
        list(weighers.found(_SMALL, reader))

    pairs = [(_cpu_us(decide, 1), _cpu_us(guard_and_decide, 1)) for _ in range(9)]  # in turns: a machine is never still
    alone_us, together_us = (statistics.median(times) for times in zip(*pairs, strict=True))
    return {
        "small_request_us": _cpu_us(small),
        f"stream_of_{len(_TOKENS)}_tokens_us": _cpu_us(stream),
        "decision_us": alone_us,
        "decision_with_all_rules_us": together_us,
        "learned_rules_us": _cpu_us(weigh),
        "ratio": round(together_us / alone_us, 3),
    }


def _cpu_us(work: Callable[[], None], times: int = 5) -> float:
    rounds = []
    for _ in range(times):
        began = time.process_time()
        for _ in range(_ROUNDS // 5):
            work()
        rounds.append((time.process_time() - began) / (_ROUNDS // 5) * 1e6)
    return round(statistics.median(rounds), 1)


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    raw = path.read_bytes()
    yield from map(json.loads, (gzip.decompress(raw) if path.suffix == ".gz" else raw).splitlines())


def _same(one: tuple[str, int, int], other: tuple[str, int, int]) -> bool:
    return one[0] == other[0] and one[1] < other[2] and other[1] < one[2]


def _share(part: int, whole: int) -> float | None:
    return round(part / whole, 4) if whole else None


if __name__ == "__main__":
    sys.exit(main())
