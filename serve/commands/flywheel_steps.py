"""The steps of a turn: each does its part, or finds it done; says what follows; and may be done again without harm."""

import getpass
import shlex
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import orjson

from experts.flywheel.curation import Wants, curate
from experts.flywheel.frozen import MANIFEST, FrozenSet, freeze, manifest_of
from experts.flywheel.history import PROMOTED
from experts.flywheel.near_duplicates import Unseen
from experts.flywheel.stages import Move
from experts.flywheel.tune import is_tuned, tuned_folder
from experts.flywheel.turn import STEPS as TURN
from experts.flywheel.turn import Turn, Turns
from experts.flywheel.verdict import Rules, Verdict, judge
from serve.commands.flywheel_curate import rows_of
from serve.commands.flywheel_data import interactions, opened_ratings
from serve.commands.flywheel_registry import MAY_SERVE, explain, pairs_of
from serve.commands.flywheel_shadow import adopt, move
from serve.commands.flywheel_trial import Bench, explain_unseen
from serve.commands.flywheel_tune import command_of
from serve.settings.flywheel_policy import Bar, Policy
from serve.settings.tree import Settings, SettingsError

TRAFFIC: Final = "traffic"


@dataclass(frozen=True, slots=True)
class Means:
    """What a run has.

    Attributes:
        settings: the gateway's.
        python: an interpreter that has moegate[train]; empty = this one.
        is_sure: everything that would be asked for is agreed to.
        until: the last step to be done.
    """

    settings: Settings
    python: str = ""
    is_sure: bool = False
    until: str = TURN[-1]

    @property
    def trainer(self) -> str:
        """The interpreter that trains."""
        return self.python or sys.executable


@dataclass(frozen=True, slots=True)
class Done:
    """The step is done; the next one follows."""

    turn: Turn


@dataclass(frozen=True, slots=True)
class Ends:
    """The turn is over."""

    turn: Turn
    why: str


@dataclass(frozen=True, slots=True)
class Waits:
    """There is nothing to be done before something happens."""

    why: str
    is_for_a_human: bool = False


Outcome = Done | Ends | Waits


def _curate(means: Means, policy: Policy, bench: Bench, turns: Turns, turn: Turn) -> Outcome:
    """Make the set that this turn learns from."""
    wanted, place = policy.curate, means.settings.flywheel.place
    if TURN.index(means.until) >= TURN.index("shadow"):
        bench.canary  # noqa: B018  # told now, not after hours of training
    if bench.registry.current is None:
        adopt(bench)
    never = [*wanted.never, *(bar.data for bar in policy.bars)]
    unseen = Unseen(row for path in never for row in rows_of(path))
    wants = Wants(train=wanted.train, held_out=wanted.held_out, people=wanted.people, takes_unrated=wanted.unrated)
    with opened_ratings(means.settings) as ratings:
        curated = curate(interactions(means.settings, ratings), bench.expert, unseen, wants)
    if curated.missing:
        lacks = ", ".join(f"{name} {have} of {need}" for name, (have, need) in curated.missing.items())
        return Ends(turn, f"too little data: {lacks}")
    made = freeze(curated, place / "curated", bench.expert)
    digest = made.folder.name
    if digest in {str(one.get("curated")) for one in bench.registry.candidates().values()}:
        return Ends(turn, "there is nothing new to learn from")
    rows = ", ".join(f"{count} {name}" for name, count in curated.as_dict()["rows"].items())
    _say(bench, f"curated {digest}: {rows}")
    return Done(replace(turn, curated=digest))


def _tune(means: Means, policy: Policy, bench: Bench, turns: Turns, turn: Turn) -> Outcome:
    """Train a candidate; a run that was stopped goes on from its last checkpoint."""
    curated = _set(means, bench, turn)
    if not is_tuned(_adapter(means, bench, curated)):
        command = command_of(
            means.settings,
            bench.expert,
            curated,
            python=means.trainer,
            options=policy.options,
            from_base=policy.from_base,
            tokens=policy.tokens,
        )
        catalog = means.settings.experts.catalog
        _carry_out(bench, [*command, *(() if catalog is None else ("--catalog", str(catalog)))])
    _say(bench, f"tuned on {turn.curated}")
    return Done(turn)


def _evaluate(means: Means, policy: Policy, bench: Bench, turns: Turns, turn: Turn) -> Outcome:
    """Have both answer every bar, and judge."""
    curated, place = _set(means, bench, turn), turns.place(turn)
    adapter = _adapter(means, bench, curated)
    bars = (Bar(name=TRAFFIC, suite=TRAFFIC, data=curated.folder / "held_out.jsonl"), *policy.bars)
    who = {"incumbent": bench.registry.link.resolve(), "candidate": adapter}
    measured: dict[str, dict[str, Any]] = {}
    pairs: dict[str, tuple[list[float], list[float]]] = {}
    for bar in bars:
        for side, weights in who.items():
            measured[f"{bar.name}.{side}"] = _answers(means, policy, bench, bar, place, side, weights)
        pairs |= pairs_of(bar.name, *(place / f"{bar.name}.{side}.jsonl" for side in who))
    try:
        judgement = judge(pairs, policy.goal, Rules(margin=policy.margin))
    except KeyError:
        raise SettingsError(f"goal: there is no {policy.goal}; there are {', '.join(pairs)}") from None
    artifact = measured[f"{TRAFFIC}.candidate"].get("artifact") or {}
    facts = {
        "curated": turn.curated,
        "turn": turn.number,
        "judgement": judgement.as_dict(),
        "measured": {name: one.get("measured") for name, one in measured.items()},
        "artifact": artifact.get("sha256", ""),
    }
    digest = bench.registry.add(adapter, facts)
    explain(judgement, {"expert": bench.expert, "candidate": digest})
    found = replace(turn, candidate=digest)
    least = Verdict(policy.promote or Verdict.BETTER.value)
    if judgement.verdict not in MAY_SERVE[: MAY_SERVE.index(least) + 1]:
        return Ends(found, f"the candidate was found {judgement.verdict.value}, because of {judgement.because}")
    return Done(found)


def _shadow(means: Means, policy: Policy, bench: Bench, turns: Turns, turn: Turn) -> Outcome:
    """Let the candidate answer unseen until enough can be compared."""
    if _is_over(bench, turn):
        return Ends(turn, "its trial was ended")
    if bench.registry.trial is None or bench.registry.trial.digest != turn.candidate:
        bench.begin(turn.candidate, why=f"turn {turn.number}")
        _say(bench, f"{turn.candidate} answers unseen now")
    if bench.trial.event != "shadow":
        return Done(turn)
    compared, needed = bench.compared(), means.settings.flywheel.shadow_answers
    if compared.n < needed:
        return Waits(f"{compared.n} of {needed} unseen answers")
    explain_unseen(compared)
    if compared.judgement.verdict is Verdict.WORSE:
        bench.end(why=f"worse unseen: {compared.judgement.because}")
        return Ends(turn, f"the candidate is worse unseen, because of {compared.judgement.because}")
    return Done(turn)


def _canary(means: Means, policy: Policy, bench: Bench, turns: Turns, turn: Turn) -> Outcome:
    """Give it a share of the traffic, and more where nothing speaks against it."""
    if _is_over(bench, turn):
        return Ends(turn, f"its trial was ended: {bench.registry.history()[-1].why}")
    if not (means.is_sure or policy.canary):
        return Waits(f"a human: moegate flywheel canary {bench.expert}", is_for_a_human=bench.trial.event == "shadow")
    step = move(bench, is_sure=True)
    match step.move:
        case Move.PASSED:
            return Done(turn)
        case Move.END:
            return Ends(turn, step.why)
        case _:
            return Waits(step.why)


def _promote(means: Means, policy: Policy, bench: Bench, turns: Turns, turn: Turn) -> Outcome:
    """Let it serve."""
    promoted = replace(turn, promoted=True)
    if bench.registry.current == turn.candidate:
        return Ends(promoted, "promoted")
    if _is_over(bench, turn):
        return Ends(turn, "its trial was ended")
    if not (means.is_sure or policy.promote):
        how = f"moegate flywheel promote {bench.expert} {turn.candidate}"
        return Waits(f"a human: {how}", is_for_a_human=True)
    verdict = bench.registry.candidates()[turn.candidate]["judgement"]["verdict"]
    bench.registry.promote(turn.candidate, by=getpass.getuser(), why=f"{verdict}, turn {turn.number}")
    return Ends(promoted, "promoted")


def _is_over(bench: Bench, turn: Turn) -> bool:
    """Whether the candidate's trial has begun and is not going on any more."""
    own = [change for change in bench.registry.history() if change.digest == turn.candidate]
    trial = bench.registry.trial
    return bool(own) and own[-1].event != PROMOTED and (trial is None or trial.digest != turn.candidate)


def _set(means: Means, bench: Bench, turn: Turn) -> FrozenSet:
    folder = means.settings.flywheel.place / "curated" / bench.expert / turn.curated
    if not (folder / MANIFEST).is_file():
        raise SettingsError(f"{bench.expert}: the curated set {turn.curated} is gone")
    return FrozenSet(folder, manifest_of(folder))


def _adapter(means: Means, bench: Bench, curated: FrozenSet) -> Path:
    return tuned_folder(means.settings.flywheel.place / "tuned", bench.expert, curated)


def _answers(
    means: Means, policy: Policy, bench: Bench, bar: Bar, place: Path, side: str, adapter: Path
) -> dict[str, Any]:
    """Have one side answer a bar, unless it has."""
    out, answers = place / f"{bar.name}.{side}.json", place / f"{bar.name}.{side}.jsonl"
    if not out.is_file():
        limit = () if bar.limit is None else ("--limit", str(bar.limit))
        catalog = means.settings.experts.catalog
        command = [
            *(sys.executable, "-m", "experts.evaluate", bench.expert, "--suite", bar.suite, "--data", str(bar.data)),
            *("--adapter", str(adapter), "--variant", side, "--out", str(out), "--answers", str(answers)),
            *limit,
            *(() if catalog is None else ("--catalog", str(catalog))),
            *shlex.split(policy.evaluate),
        ]
        _carry_out(bench, command)
    found: dict[str, Any] = orjson.loads(out.read_bytes())
    return found


def _carry_out(bench: Bench, command: Sequence[str]) -> None:
    """Run a command to its end.

    Raises:
        SettingsError: it failed; the next run goes on from there.
    """
    print(shlex.join(command), file=sys.stderr, flush=True)
    status = subprocess.run(command, check=False, stdout=2).returncode
    if status:
        raise SettingsError(
            f"{bench.expert}: {command[2]} ended with status {status}; the same command goes on from there"
        )


def _say(bench: Bench, what: str) -> None:
    print(f"{bench.expert}: {what}", flush=True)


STEPS: Final[Mapping[str, Callable[[Means, Policy, Bench, Turns, Turn], Outcome]]] = MappingProxyType(
    {
        "curate": _curate,
        "tune": _tune,
        "evaluate": _evaluate,
        "shadow": _shadow,
        "canary": _canary,
        "promote": _promote,
    }
)
