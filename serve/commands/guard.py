"""`moegate guard`: what the rules find in a text, and how often they are right on texts with labels."""

import argparse
import gzip
import statistics
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, Literal

import orjson
from pydantic import BaseModel, ValidationError
from rich.console import Console
from rich.progress import track
from rich.table import Table
from rich.text import Text

from serve.settings.tree import SettingsError, load_settings
from serve.steps.guard.compiled import Hit, Inspector, RuleSet, disjoint
from serve.steps.guard.in_force import load_rules
from serve.steps.guard.masks import Masks
from serve.steps.guard.rules import Stage

_GZIP: Final = b"\x1f\x8b"


class LabelledText(BaseModel):
    """A row of `--data`."""

    text: str
    label: Literal["attack", "benign"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command."""
    parser.add_argument("text", nargs="?", help="a text to look at")
    parser.add_argument(
        "--rules", type=Path, metavar="FILE", help="rules, as in deploy/guard.yaml (default: the settings')"
    )
    parser.add_argument(
        "--stage", choices=[stage.value for stage in Stage], default=Stage.INPUT.value, help="whose words they are"
    )
    parser.add_argument(
        "--data",
        type=Path,
        metavar="FILE",
        help="in place of a text: rows {text, label: attack | benign}, .jsonl or .jsonl.gz",
    )
    parser.add_argument("--json", action="store_true", help="one JSON object in place of a table")
    parser.add_argument("--config", type=Path, metavar="FILE", help="settings, as in deploy/gateway.yaml")
    parser.set_defaults(command=_run)


def _run(arguments: argparse.Namespace) -> None:
    if (arguments.text is None) == (arguments.data is None):
        raise SettingsError("give a text, or --data FILE with labelled ones")
    rules = _rules(arguments)
    inspector = rules.at(Stage(arguments.stage))
    if inspector is None:
        raise SettingsError(f"no rule looks at {arguments.stage}")
    result = (
        _looked_at(arguments.text, inspector, rules) if arguments.data is None else _measured(arguments.data, inspector)
    )
    if arguments.json:
        print(orjson.dumps(result).decode())
    else:
        _show(result)


def _rules(arguments: argparse.Namespace) -> RuleSet:
    path = arguments.rules or load_settings(arguments.config).guard.rules
    if path is None:
        raise SettingsError("which rules? Give --rules FILE, such as deploy/guard.yaml, or set guard.rules")
    return load_rules(path)


def _looked_at(text: str, inspector: Inspector, rules: RuleSet) -> dict[str, Any]:
    """What the rules say of one text."""
    inspector.hits(text)  # the first look pays for caches
    began = time.perf_counter()
    hits = inspector.hits(text)
    took_us = (time.perf_counter() - began) * 1e6
    masked = Masks().mask(text, disjoint(hits, rules.rules))
    return {
        "hits": [_told(hit, text) for hit in hits],
        "verdict": _verdict(hits),
        "masked": masked,
        "latency_us": round(took_us, 1),
    }


def _told(hit: Hit, text: str) -> dict[str, Any]:
    return {
        "rule": hit.rule.name,
        "action": hit.rule.action.value,
        "entity": hit.entity,
        "start": hit.start,
        "end": hit.end,
        "found": text[hit.start : hit.end],
    }


def _verdict(hits: list[Hit]) -> str:
    actions = {hit.rule.action.value for hit in hits}
    return next((action for action in ("block", "mask", "monitor") if action in actions), "pass")


def _measured(path: Path, inspector: Inspector) -> dict[str, Any]:
    """How often the rules find something in attacks, and in benign texts."""
    rows = list(_rows(path))
    found: Counter[str] = Counter()
    by_rule: Counter[tuple[str, str]] = Counter()
    times_us = []
    for row in track(rows, "looking", console=Console(stderr=True), disable=not sys.stderr.isatty()):
        began = time.perf_counter()
        hits = inspector.hits(row.text)
        times_us.append((time.perf_counter() - began) * 1e6)
        found[row.label] += bool(hits)
        by_rule.update((name, row.label) for name in {hit.rule.name for hit in hits})
    counts = Counter(row.label for row in rows)
    names = sorted({name for name, _ in by_rule})
    return {
        "n": len(rows),
        "recall": _share(found["attack"], counts["attack"]),
        "false_positive_rate": _share(found["benign"], counts["benign"]),
        "per_rule": {name: {label: by_rule[name, label] for label in ("attack", "benign")} for name in names},
        "latency_us": {"p50": round(statistics.median(times_us), 1), "max": round(max(times_us), 1)}
        if times_us
        else None,
    }


def _rows(path: Path) -> Iterator[LabelledText]:
    raw = path.read_bytes()
    if raw.startswith(_GZIP):
        raw = gzip.decompress(raw)
    for number, line in enumerate(raw.splitlines(), 1):
        if line.strip():
            try:
                yield LabelledText.model_validate_json(line)
            except ValidationError as error:
                fault = error.errors()[0]
                where = ".".join(map(str, fault["loc"]))
                raise SettingsError(f"{path}:{number}: {where}: {fault['msg']}") from None


def _share(part: int, whole: int) -> float | None:
    return round(part / whole, 4) if whole else None


def _show(result: dict[str, Any]) -> None:
    console = Console(highlight=False)
    if "hits" not in result:
        console.print_json(orjson.dumps(result).decode())
        return
    table = Table("rule", "does", "entity", "found")
    for hit in result["hits"]:
        table.add_row(hit["rule"], hit["action"], hit["entity"], Text(hit["found"]))
    if result["hits"]:
        console.print(table)
    console.print(Text(f"{result['verdict']}, in {result['latency_us']} µs"))
    if result["verdict"] == "mask":
        console.print(Text(result["masked"]))
