"""Word lists that choose an expert: the rules that people write first.

`router.kind: keywords` serves by them (`router.policy.rules`), and the evaluation shows what the learned router gains
over them. They read English only.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from router.features.featurize import RouteQuery, window_of
from router.model.gate import TOOL_CALLER


@dataclass(frozen=True, slots=True)
class Rule:
    """A list of words, and what a request that holds one of them turned out to need.

    Attributes:
        expert: whom the words ask for.
        pattern: the words; any one of them is enough.
        shares: share of the shipped seeds that this rule decides, by the expert that they need, in [0, 1]. A seed may
            need one of several experts, so the shares need not sum to 1.
    """

    expert: str
    pattern: re.Pattern[str]
    shares: Mapping[str, float]


RULES: Final = (
    Rule(
        "coder",
        re.compile(r"```|\b(code|function|python|javascript|java|sql|regex|bash|script|bug|compile)\b|[{};]\s*$", re.I),
        {"coder": 0.76, "advisor": 0.10, "researcher": 0.09, "generalist": 0.07},
    ),
    Rule(
        "advisor",
        re.compile(r"\b(write|rewrite|draft|story|poem|e-?mail|essay|plan|advice|recommend|suggest|imagine)\b", re.I),
        {"advisor": 0.76, "coder": 0.12, "researcher": 0.09, "generalist": 0.06},
    ),
    Rule(
        "generalist",
        re.compile(r"\bhow (many|much)\b|\d\s*[-+*/=]\s*\d|\b(hello|joke|riddle|puzzle)\b", re.I),
        {"generalist": 0.69, "researcher": 0.18, "coder": 0.09, "advisor": 0.09},
    ),
    Rule(
        "researcher",
        re.compile(r"\b(who|what|when|where|which|why|how|explain|according)\b|\?", re.I),
        {"researcher": 0.42, "generalist": 0.34, "advisor": 0.16, "coder": 0.09},
    ),
)
ANYTHING: Final = re.compile("")
TOOLS: Final = Rule(  # any request that offers tools
    TOOL_CALLER,
    ANYTHING,
    {TOOL_CALLER: 0.51, "generalist": 0.14, "advisor": 0.13, "researcher": 0.13, "coder": 0.08},
)
NO_WORD: Final = Rule(  # any request that no other rule knows
    "generalist",
    ANYTHING,
    {"generalist": 0.29, "advisor": 0.28, "coder": 0.24, "researcher": 0.20},
)


def rule_of(query: RouteQuery) -> Rule:
    """Return the first rule that holds: offered tools, then the word lists in their order."""
    if query.has_tools:
        return TOOLS
    text = window_of(query).raw
    return next((rule for rule in RULES if rule.pattern.search(text)), NO_WORD)


def keywords(query: RouteQuery, experts: Sequence[str] = ()) -> Mapping[str, float]:
    """Return the probability of each expert that a rule knows; `experts` does not matter to it."""
    return rule_of(query).shares
