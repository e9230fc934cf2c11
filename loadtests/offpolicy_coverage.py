"""Whether off-policy estimates from our own log are right: an inside, simulated, with exploration and a canary both on.

`python -m loadtests.offpolicy_coverage [--runs 500]`. Each run simulates conversations of one to four turns, of two
kinds, and three experts of which one has a canary. The gateway's own code draws (`router.policy.explore`,
`serve.routing.canary`), so a propensity that is not what was drawn shows as a bias. The policy in question answers each
kind by another expert; what it would earn is known. Prints how often that lies in the 95 % interval, with Wilson's
interval of that share, and the mean error; one JSON line last.
"""

import argparse
import json
import random
import sys
from collections.abc import Iterator
from math import sqrt
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from experts.catalog.prices import Price, UsdPerMillion
from experts.catalog.spec import ExpertSpec
from protos import chat_pb2 as chat
from router.decision import Candidate, Reason, RouteDecision
from router.evaluation.offpolicy import Estimate, estimate, logged
from router.policy.explore import Exploration
from router.policy.objective import ExpertState
from serve.request import ChatRequest
from serve.routing.canary import with_canary

EXPERTS: Final = ("a", "b", "c")
CANARY: Final = "b2"
SHARE: Final = 0.25
EPSILON: Final = 0.3
WORTH: Final = {
    "easy": {"a": 0.9, "b": 0.5, CANARY: 0.6, "c": 0.1},
    "hard": {"a": 0.2, "b": 0.4, CANARY: 0.1, "c": 0.8},
}
TARGET: Final = {"easy": "a", "hard": CANARY}
TRUTH: Final = (0.9 + 0.1) / 2
_FIGURES: Final = ("ips", "snips", "doubly_robust")


def rows(conversations: int, seed: int) -> Iterator[dict[str, Any]]:
    """A log of a policy that likes `b` best. A conversation is of one kind, and draws the canary once."""
    generator = random.Random(seed)
    exploration = Exploration(EPSILON, generator)
    states = [ExpertState(name, 1000, True, 0, 8, 1.0) for name in EXPERTS]
    ranking = tuple(Candidate(name, 0.5) for name in ("b", "a", "c"))
    price = Price(usd_per_million=UsdPerMillion(prompt=0, completion=0))
    on_trial = {
        "b": ExpertSpec(
            name=CANARY, description="d", base="x", engine="echo", context_window=1000, licence="l", price=price,
            canary_of="b", canary_share=SHARE,
        )
    }  # fmt: skip
    for number in range(conversations):
        kind = generator.choice(("easy", "hard"))
        talk = chat.Conversation(messages=[chat.Message(role=chat.ROLE_USER, content=f"{seed} {number}")])
        request = ChatRequest("id", "id", "http", "auto", talk, chat.Sampling(), False, 0.0, 1.0)
        luck = generator.random()  # what one is lucky with, one is again
        for _ in range(generator.randint(1, 4)):
            explored = exploration.explore(RouteDecision(ranking, Reason.CLASSIFIED, 0.5, "v", 0.0), states, 10)
            decision = with_canary(explored, on_trial, request)
            is_good = (luck if generator.random() < 0.5 else generator.random()) < WORTH[kind][decision.expert]
            yield {
                "expert": decision.expert,
                "propensity": decision.propensity,
                "reward": float(is_good),
                "target": TARGET[kind],
                "conversation": str(number),
            }


def run(conversations: int, seed: int) -> Estimate:
    """One log, and what is estimated from it."""
    return estimate(logged(rows(conversations, seed)), seed)


def summarise(found: list[Estimate]) -> dict[str, dict[str, Any]]:
    """By estimator: the share of runs whose interval holds the truth, its own interval, and the mean error."""
    facts: dict[str, dict[str, Any]] = {}
    for name in _FIGURES:
        figures = [getattr(one, name) for one in found]
        inside = sum(figure.low <= TRUTH <= figure.high for figure in figures)
        facts[name] = {
            "inside": round(inside / len(found), 4),
            "ci95": wilson(inside, len(found)),
            "mean_error": round(sum(figure.value - TRUTH for figure in figures) / len(found), 5),
        }
    return facts


def wilson(hits: int, n: int) -> list[float]:
    """The 95 % interval of a share (Wilson 1927)."""
    z, share = 1.959964, hits / n
    middle, half = share + z * z / (2 * n), z * sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return [round((middle + sign * half) / (1 + z * z / n), 4) for sign in (-1, 1)]


def main() -> int:
    """Simulate and tell."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=500)
    parser.add_argument("--conversations", type=int, default=800, help="of one run")
    arguments = parser.parse_args()
    found = [run(arguments.conversations, seed) for seed in range(arguments.runs)]
    facts = summarise(found)
    table = Table("estimate", "truth inside", "95 %", "mean error")
    for name, one in facts.items():
        table.add_row(
            name, f"{one['inside']:.3f}", f"{one['ci95'][0]:.3f} to {one['ci95'][1]:.3f}", str(one["mean_error"])
        )
    Console().print(table)
    effective = sum(one.effective for one in found) / len(found)
    print(json.dumps({"runs": len(found), "n": found[0].n, "effective": round(effective, 1), **facts}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
