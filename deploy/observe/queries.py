"""Every query of dashboards and rules, in a form that a Prometheus can answer now.

An alert's condition is mostly false, and then its result is empty. So the figure that it compares is queried instead.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import yaml

from deploy.observe.boards import DASHBOARDS

RULES: Final = Path(__file__).parents[1] / "prometheus" / "rules"
_COMPARISON: Final = re.compile(r"\s+(==|!=|>=|<=|>|<)\s+[\d.*\s]+$")
_ABSENT: Final = re.compile(r"^absent\((.*)\)$")


@dataclass(frozen=True, slots=True)
class Asked:
    """A query, where it stands, and whose metrics it needs."""

    where: str
    expr: str
    source: str = "moegate"


def panel_queries(*, window: str = "1m") -> Iterator[Asked]:
    """The panels' queries, their variables filled in: every expert, rates over `window`."""
    for board in DASHBOARDS:
        for panel in board.panels:
            for query in panel.queries:
                expr = query.expr.replace("$__rate_interval", window).replace("$expert", ".*")
                yield Asked(f"{board.uid} / {panel.title}", expr, panel.source)


def rule_queries(folder: Path = RULES) -> Iterator[Asked]:
    """What the rules record, and the figures that the alerts compare."""
    for path in sorted(folder.glob("*.yml")):
        for group in yaml.safe_load(path.read_text())["groups"]:
            for rule in group["rules"]:
                name = rule.get("record") or rule["alert"]
                for part in re.split(r"\nand\n", rule["expr"].strip()):
                    expr = part if "record" in rule else _ABSENT.sub(r"\1", _COMPARISON.sub("", part))
                    yield Asked(f"{path.name} / {name}", expr)
