"""`moegate guard`: what the rules find in a text, and how often they are right on texts with labels."""

import argparse
import asyncio
import gzip
import math
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
from serve.steps.guard.compiled import RuleSet
from serve.steps.guard.examine import NoRule, examined, hits_of
from serve.steps.guard.in_force import load_rules
from serve.steps.guard.rules import Stage

_GZIP: Final = b"\x1f\x8b"
_SHOWN: Final = 60  # characters of what was found


class LabelledText(BaseModel):
    """A row of `--data`."""

    text: str
    label: Literal["attack", "benign"]
    system: str = ""  # the system prompt that it came with


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
        help="in place of a text: rows {text, label: attack | benign, system?}, .jsonl or .jsonl.gz",
    )
    parser.add_argument("--json", action="store_true", help="one JSON object in place of a table")
    parser.add_argument("--config", type=Path, metavar="FILE", help="settings, as in deploy/gateway.yaml")
    parser.set_defaults(command=_run)


def _run(arguments: argparse.Namespace) -> None:
    if (arguments.text is None) == (arguments.data is None):
        raise SettingsError("give a text, or --data FILE with labelled ones")
    rules = _rules(arguments)
    stage = Stage(arguments.stage)
    try:
        result = asyncio.run(_result(arguments, rules, stage))
    except NoRule as error:
        raise SettingsError(str(error)) from None
    if arguments.json:
        print(orjson.dumps(result).decode())
    else:
        _show(result)


async def _result(arguments: argparse.Namespace, rules: RuleSet, stage: Stage) -> dict[str, Any]:
    try:
        if arguments.data is not None:
            return await _measured(arguments.data, rules, stage)
        await examined(arguments.text, rules, stage)  # the first look pays for caches
        return await examined(arguments.text, rules, stage)
    finally:
        await rules.close()


def _rules(arguments: argparse.Namespace) -> RuleSet:
    path = arguments.rules or load_settings(arguments.config).guard.rules
    if path is None:
        raise SettingsError("which rules? Give --rules FILE, such as deploy/guard.yaml, or set guard.rules")
    return load_rules(path)


async def _measured(path: Path, rules: RuleSet, stage: Stage) -> dict[str, Any]:
    """How often the rules find something in attacks, and in benign texts."""
    rows = list(_rows(path))
    found: Counter[str] = Counter()
    by_rule: Counter[tuple[str, str]] = Counter()
    times_us = []
    if rows:
        await hits_of(rows[0].text, rules, stage)  # the first look pays for caches
    for row in track(rows, "looking", console=Console(stderr=True), disable=not sys.stderr.isatty()):
        began = time.perf_counter()
        hits = await hits_of(row.text, rules, stage, row.system)
        times_us.append((time.perf_counter() - began) * 1e6)
        found[row.label] += bool(hits)
        by_rule.update((name, row.label) for name in {hit.rule.name for hit in hits})
    counts = Counter(row.label for row in rows)
    names = [rule.name for rule in rules.rules if stage in rule.at]
    return {
        "n": len(rows),
        "recall": _share(found["attack"], counts["attack"]),
        "false_positive_rate": _share(found["benign"], counts["benign"]),
        "ci95": {
            "recall": interval(found["attack"], counts["attack"]),
            "false_positive_rate": interval(found["benign"], counts["benign"]),
        },
        "per_rule": {name: {label: by_rule[name, label] for label in ("attack", "benign")} for name in names},
        "latency_us": _quantiles(times_us) if times_us else None,
    }


def _quantiles(times: list[float]) -> dict[str, float]:
    ordered = sorted(times)
    p99 = ordered[min(len(ordered) - 1, math.ceil(len(ordered) * 0.99) - 1)]
    return {
        name: round(value, 1)
        for name, value in zip(("p50", "p99", "max"), (statistics.median(ordered), p99, ordered[-1]), strict=True)
    }


def interval(hits: int, n: int) -> tuple[float, float] | None:
    """Return Wilson's 95 % interval of a share."""
    if not n:
        return None
    share, z2 = hits / n, 1.96**2
    middle, half = share + z2 / (2 * n), 1.96 * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n))
    return round((middle - half) / (1 + z2 / n), 4), round((middle + half) / (1 + z2 / n), 4)


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
    table = Table("rule", "does", "entity", "why", "found")
    for hit in result["hits"]:
        found = hit["found"] if len(hit["found"]) <= _SHOWN else hit["found"][:_SHOWN] + "…"
        table.add_row(hit["rule"], hit["action"], hit["entity"], hit["why"], Text(found))
    if result["hits"]:
        console.print(table)
    console.print(Text(f"{result['verdict']}, in {result['latency_us']} µs"))
    if result["verdict"] == "mask":
        console.print(Text(result["masked"]))
