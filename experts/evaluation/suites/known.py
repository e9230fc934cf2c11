"""The suites by name, and the one score of each that says whether an answer was right.

`experts.evaluate` chooses a suite here; `mixed` judges each of its rows by another.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

from experts.evaluation.suites.chat import ChatSuite
from experts.evaluation.suites.coding import CodeSuite
from experts.evaluation.suites.grounded_qa import GroundedQASuite
from experts.evaluation.suites.json_forms import JsonSuite
from experts.evaluation.suites.maths import MathsSuite
from experts.evaluation.suites.mixed import MixedSuite
from experts.evaluation.suites.open_qa import OpenQASuite
from experts.evaluation.suites.plans import PlanSuite
from experts.evaluation.suites.suite import Suite
from experts.evaluation.suites.tool_calls import ToolCallSuite
from experts.evaluation.suites.traffic import TrafficSuite

RIGHT: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "tool_calls": ("overall",),
        "plans": ("graph",),
        "code": ("pass@1",),
        "grounded_qa": ("match", "abstention"),  # the second where the documents do not hold the answer
        "chat": ("target",),
        "json": ("all_fields",),
        "maths": ("right",),
        "open_qa": ("match",),
        "traffic": ("same",),
    }
)
"""What makes an answer right, by suite: the first of these that its verdict has."""

ONE_TASK: Final[Mapping[str, Callable[[], Suite]]] = MappingProxyType(
    {
        "tool_calls": ToolCallSuite,
        "plans": PlanSuite,
        "code": CodeSuite,
        "grounded_qa": GroundedQASuite,
        "chat": ChatSuite,
        "json": JsonSuite,
        "maths": MathsSuite,
        "open_qa": OpenQASuite,
        "traffic": TrafficSuite,
    }
)

SUITES: Final[Mapping[str, Callable[[], Suite]]] = MappingProxyType(
    {**ONE_TASK, "mixed": lambda: MixedSuite({name: make() for name, make in ONE_TASK.items()}, RIGHT)}
)


def named_rows(text: str, of: str, suites: Collection[str]) -> tuple[str, str, Path]:
    """Read an option `NAME=SUITE:FILE`: rows of a suite, and whose they are.

    Args:
        text: what was given.
        of: what NAME is, for who is told of a mistake.
        suites: those that may be named.

    Raises:
        argparse.ArgumentTypeError: it has not this form, or there is no such suite.
    """
    name, _, rest = text.partition("=")
    suite, _, file = rest.partition(":")
    if not name or not file or suite not in suites:
        raise argparse.ArgumentTypeError(f"{text!r}: say {of}=SUITE:FILE, with a suite of {', '.join(sorted(suites))}")
    return name, suite, Path(file)
