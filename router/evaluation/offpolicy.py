"""What another policy would have earned, estimated from a log: `python -m router.evaluation.offpolicy --log FILE...`.

Rows are `{expert, propensity, reward, target, reason?, conversation?}`: who answered, with which probability that was
drawn, how good it was, and whom the policy in question would choose (a name, or probabilities by name). With
`--artifact` that is worked out of the rows' `messages`, as `moegate flywheel export` writes them. Inverse propensity
scoring (Horvitz and Thompson 1952), its self-normalised form (Swaminathan and Joachims 2015) and the doubly robust one
(Dudík, Langford and Li 2011, with each expert's mean reward as the model), with bootstrap intervals over conversations.
"""

import argparse
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from router.commands.messages import run_command
from router.decision import Reason
from router.errors import DatasetError
from router.evaluation.gap import Figure
from router.features.featurize import query_from_openai
from router.policy.objective import ExpertState
from router.router import Router
from router.training.dataset import read_json_lines
from router.training.heads import Doubles

DRAWS = 2_000
_ROOM = 2**31  # tokens
NOT_DRAWN = frozenset({Reason.PINNED, Reason.FALLBACK, Reason.HANDED_BACK})
"""Somebody else's choice: the propensity is not of this expert."""


@dataclass(frozen=True, slots=True)
class Logged:
    """Decisions as they were made and what came of them, n of them.

    Attributes:
        propensity: probability with which the answering expert was drawn, (n,), in (0, 1].
        reward: (n,).
        target: the other policy's probability of that same expert, (n,).
        direct: what the other policy would earn if each expert always earned its own mean, (n,); likewise
            `own_mean` of the expert that answered.
        cluster: which conversation a row is of, (n,): its rows were drawn together.
        skipped: rows left out because nobody drew them (pins, fallbacks, requests handed back).
    """

    propensity: Doubles
    reward: Doubles
    target: Doubles
    direct: Doubles
    own_mean: Doubles
    cluster: np.ndarray[Any, np.dtype[np.int64]]
    skipped: int = 0


@dataclass(frozen=True, slots=True)
class Estimate:
    """The other policy's expected reward a request.

    Attributes:
        ips: unbiased where every choice of the target has a propensity above 0.
        snips: the same over the sum of the weights: slightly biased, far steadier.
        doubly_robust: as unbiased as `ips`; steadier the more the expert alone says about the reward.
        logged: what the logging policy earned.
        effective: rows that the weights amount to (Kish): few means that the log says little about the target.
        n: rows used.
        skipped: rows left out.
    """

    ips: Figure
    snips: Figure
    doubly_robust: Figure
    logged: Figure
    effective: float
    n: int
    skipped: int

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON line's object."""
        figures = {name: getattr(self, name).as_dict() for name in ("ips", "snips", "doubly_robust", "logged")}
        return figures | {"effective": round(self.effective, 1), "n": self.n, "skipped": self.skipped}


@dataclass(frozen=True, slots=True)
class _Choice:
    """One row: who answered, with which probability, what came of it, whom the target would choose, and together."""

    expert: str
    propensity: float
    reward: float
    target: Mapping[str, float]
    conversation: str


def read_log(
    paths: Iterable[Path], target: str = "target", reward: str = "reward", router: Router | None = None
) -> Logged:
    """Read logged rows; `target` and `reward` name their columns, `router` takes the column's place where it is given.

    Raises:
        DatasetError: a row lacks a column or its propensity is not in (0, 1]; names file and line.
    """
    lines = ((f"{path.name}:{number}", raw) for path in paths for number, raw in read_json_lines(path))
    return _gathered(lines, target, reward, router)


def logged(rows: Iterable[Mapping[str, Any]]) -> Logged:
    """Take the same rows out of memory.

    Raises:
        DatasetError: likewise; names the row by its number.
    """
    return _gathered(((f"row {number}", raw) for number, raw in enumerate(rows)), "target", "reward", None)


def _gathered(
    lines: Iterable[tuple[str, Mapping[str, Any]]], target: str, reward: str, router: Router | None
) -> Logged:
    choices: list[_Choice] = []
    skipped = 0
    for place, raw in lines:
        if raw.get("reason") in NOT_DRAWN:
            skipped += 1
            continue
        try:
            wanted = raw[target] if router is None else _chosen(router, raw)
            conversation = str(raw.get("conversation") or place)
            made = (str(raw["expert"]), float(raw["propensity"]), float(raw[reward]), _chances(wanted))
        except (KeyError, TypeError, ValueError, AttributeError):
            columns = f"expert, propensity, {reward} and {target if router is None else 'messages, ranking'}"
            raise DatasetError(f"{place}: needs {columns}") from None
        if not (0.0 < made[1] <= 1.0 and all(0.0 <= chance <= 1.0 for chance in made[3].values())):
            raise DatasetError(f"{place}: a probability is out of range")
        choices.append(_Choice(*made, conversation))
    if not choices:
        raise DatasetError("no rows to estimate from")
    return _columns(choices, skipped)


def _columns(choices: Sequence[_Choice], skipped: int) -> Logged:
    reward = np.array([one.reward for one in choices])
    who = np.array([one.expert for one in choices])
    means = {name: float(reward[who == name].mean()) for name in np.unique(who)}
    overall = float(reward.mean())
    return Logged(
        propensity=np.array([one.propensity for one in choices]),
        reward=reward,
        target=np.array([one.target.get(one.expert, 0.0) for one in choices]),
        direct=np.array(
            [sum(share * means.get(name, overall) for name, share in one.target.items()) for one in choices]
        ),
        own_mean=np.array([means[one.expert] for one in choices]),
        cluster=np.unique([one.conversation for one in choices], return_inverse=True)[1],
        skipped=skipped,
    )


def estimate(log: Logged, seed: int) -> Estimate:
    """Weigh each reward by how much likelier the target was to choose it; 95 % intervals by bootstrap."""
    weight = log.target / log.propensity
    robust = log.direct + weight * (log.reward - log.own_mean)
    rows = np.stack([weight * log.reward, weight, robust, log.reward, np.ones_like(weight)], axis=1)
    by_conversation = [np.bincount(log.cluster, column) for column in rows.T]
    sums = np.asarray(np.stack(by_conversation, axis=1), dtype=np.float64)  # (conversations, 5)
    drawn = _bootstrap(sums, np.random.default_rng(seed))
    return Estimate(
        ips=_mean(sums, drawn, 0, 4),
        snips=_mean(sums, drawn, 0, 1),
        doubly_robust=_mean(sums, drawn, 2, 4),
        logged=_mean(sums, drawn, 3, 4),
        effective=float(weight.sum() ** 2 / (weight**2).sum()) if weight.any() else 0.0,
        n=len(weight),
        skipped=log.skipped,
    )


def _bootstrap(sums: Doubles, generator: np.random.Generator) -> Doubles:
    """Draw conversations with replacement, `DRAWS` times; returns each draw's sums, (DRAWS, columns)."""
    count = len(sums)
    drawn = [sums.T @ np.bincount(generator.integers(count, size=count), minlength=count) for _ in range(DRAWS)]
    return np.array(drawn, dtype=np.float64)


def _mean(sums: Doubles, drawn: Doubles, over: int, under: int) -> Figure:
    """A ratio of two columns' sums, and where 95 % of the draws have it."""
    total = sums.sum(axis=0)
    value = total[over] / total[under] if total[under] else 0.0
    return _figure(value, drawn[:, over] / np.maximum(drawn[:, under], 1e-12))


def _chosen(router: Router, raw: Mapping[str, Any]) -> str:
    """Whom a router would choose for a logged request, everybody well and idle."""
    query = query_from_openai(raw["messages"], raw.get("tools"), raw.get("tool_choice"))
    idle = [ExpertState(name, _ROOM, True, 0, 1, 0.0) for name in raw["ranking"]]
    return router.route(query, idle).expert


def _chances(target: object) -> dict[str, float]:
    """Read the target policy's probabilities: a name chooses it always, a mapping spells them out."""
    if isinstance(target, str):
        return {target: 1.0}
    if isinstance(target, Mapping):
        return {str(name): float(chance) for name, chance in target.items()}
    raise TypeError("target is neither a name nor probabilities")


def _figure(value: float, drawn: Doubles) -> Figure:
    low, high = np.percentile(drawn, [2.5, 97.5])
    return Figure(float(value), float(low), float(high))


def main(arguments: Sequence[str] | None = None) -> int:
    """Estimate another policy's reward from logged decisions."""
    parser = argparse.ArgumentParser(prog="python -m router.evaluation.offpolicy", description=main.__doc__)
    parser.add_argument("--log", nargs="+", type=Path, required=True, help="rows {expert, propensity, reward, target}")
    parser.add_argument("--target", default="target", help="column of the policy in question")
    parser.add_argument("--artifact", type=Path, metavar="FILE", help="the policy in question, in place of a column")
    parser.add_argument("--reward", default="reward", help="column of the reward")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="print one JSON line last")
    options = parser.parse_args(arguments)
    return run_command(parser, lambda: _run(options))


def _run(options: argparse.Namespace) -> int:
    """Estimate and tell."""
    router = None if options.artifact is None else Router.load(options.artifact)
    found = estimate(read_log(options.log, options.target, options.reward, router), options.seed)
    console = Console(highlight=False, markup=False)
    console.print(f"IPS {found.ips}, SNIPS {found.snips}, doubly robust {found.doubly_robust}")
    console.print(f"the log itself earned {found.logged}")
    console.print(f"{found.n} rows that amount to {found.effective:.0f}; {found.skipped} left out (pins, fallbacks)")
    if options.json:
        print(json.dumps(found.as_dict()))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
