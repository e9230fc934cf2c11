"""`moegate flywheel run`: the wheel's turn as a whole, as far as evidence and approval allow.

Where a turn stands is on a disk (`experts.flywheel.turn`), so a run that was killed, or that waits for traffic or for a
human, is gone on with by the next one. Its steps are `serve.commands.flywheel_steps`.
"""

import argparse
import re
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import orjson

from experts.catalog.spec import load_catalog
from experts.flywheel.registry import RegistryError
from experts.flywheel.turn import STEPS as TURN
from experts.flywheel.turn import Busy, Turn, Turns, next_after
from serve.commands.flywheel_steps import STEPS, Done, Ends, Means, Waits
from serve.commands.flywheel_trial import Bench
from serve.routing.canary import canaries
from serve.settings.flywheel_policy import Policies, load_policies
from serve.settings.tree import Settings, SettingsError, load_settings

_LOOK_S: Final = 2.0  # so often a run that may wait looks for evidence
_UNITS: Final = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def add_run(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `run`."""
    parser.add_argument("experts", nargs="*", metavar="EXPERT", help="default: those that have a canary's entry")
    parser.add_argument("--policy", type=Path, metavar="FILE", help="what they are judged by, and what needs no human")
    parser.add_argument("--until", choices=TURN, default=TURN[-1], help="the last step to be done (default: all)")
    parser.add_argument("--yes", action="store_true", help="agree to everything that the policy would ask for")
    parser.add_argument("--every", type=_duration, metavar="TIME", help="go on for ever, a turn in so long: 24h, 90m")
    parser.add_argument(
        "--patience", type=_duration, default=0.0, metavar="TIME", help="wait so long for evidence: 30m (default: not)"
    )
    parser.add_argument("--python", default="", help="an interpreter that has moegate[train] (default: this one)")
    parser.set_defaults(command=_run)


def _run(arguments: argparse.Namespace) -> None:
    settings = load_settings(arguments.config)
    policies = load_policies(arguments.policy)
    experts = _experts(settings, arguments.experts, is_tried=TURN.index(arguments.until) >= TURN.index("shadow"))
    means = Means(settings, python=arguments.python, is_sure=arguments.yes, until=arguments.until)
    while True:
        stands = _turn_all(means, policies, experts, patience_s=arguments.patience, least_s=arguments.every or 0.0)
        if arguments.json:
            print(orjson.dumps({"experts": stands}).decode(), flush=True)
        if arguments.every is None:
            return
        is_waiting = any(stand["waits"] for stand in stands)
        time.sleep(min(arguments.every, 10.0 if is_waiting else 60.0))


def _experts(settings: Settings, named: Sequence[str], *, is_tried: bool) -> list[str]:
    """Whose wheel is turned: of those that can be tried out, or, where nobody is, of those that have an adapter.

    Raises:
        SettingsError: nobody's could be.
    """
    if named:
        return [Bench(settings, name).expert for name in named]
    catalog = load_catalog(settings.experts.catalog)
    tuned = [spec.name for spec in catalog.experts if spec.adapter is not None and spec.canary_of is None]
    found = sorted(canaries(catalog)) if is_tried else tuned
    if not found:
        raise SettingsError("no expert has a canary's entry in the catalogue (docs/flywheel.md): name an EXPERT")
    return found


def _turn_all(
    means: Means, policies: Policies, experts: Sequence[str], *, patience_s: float, least_s: float
) -> list[dict[str, Any]]:
    """Turn everybody's wheel as far as it goes now."""
    stands = []
    for expert in experts:
        turns = Turns(means.settings.flywheel.place / "turns", expert)
        try:
            with turns.alone():
                stands.append(_turn(means, policies, expert, turns, patience_s=patience_s, least_s=least_s))
        except Busy:
            print(f"{expert}: somebody else turns its wheel now")
            stands.append({"expert": expert, "waits": "somebody else turns its wheel"})
    return stands


def _turn(
    means: Means, policies: Policies, expert: str, turns: Turns, *, patience_s: float, least_s: float
) -> dict[str, Any]:
    """Turn one wheel until it waits or the turn is over."""
    last = turns.latest()
    if last is not None and last.ended and _age_s(last) < least_s:
        return {"expert": expert, **asdict(last), "waits": ""}
    turn, until = turns.begin(), time.monotonic() + patience_s
    while True:
        if TURN.index(turn.step) > TURN.index(means.until):
            why = f"it was to go on until {means.until}"
            print(f"{expert}: turn {turn.number} waits at {turn.step}: {why}", flush=True)
            return {"expert": expert, **asdict(turn), "waits": why}
        outcome = _step(means, policies, expert, turns, turn)
        match outcome:
            case Done(turn=changed):
                turn = replace(changed, step=next_after(turn.step))
                turns.note(turn)
            case Ends(turn=changed, why=why):
                turn = replace(changed, ended=why)
                turns.note(turn)
                print(f"{expert}: turn {turn.number} is over: {why}", flush=True)
                return {"expert": expert, **asdict(turn), "waits": ""}
            case Waits(why=why, is_for_a_human=is_for_a_human):
                if is_for_a_human or time.monotonic() >= until:
                    print(f"{expert}: turn {turn.number} waits at {turn.step}: {why}", flush=True)
                    return {"expert": expert, **asdict(turn), "waits": why}
                time.sleep(_LOOK_S)


def _step(means: Means, policies: Policies, expert: str, turns: Turns, turn: Turn) -> Done | Ends | Waits:
    try:
        return STEPS[turn.step](means, policies.of(expert), Bench(means.settings, expert), turns, turn)
    except RegistryError as error:
        raise SettingsError(f"{expert}: {error}") from None


def _age_s(turn: Turn) -> float:
    return (datetime.now(UTC) - datetime.fromisoformat(turn.began)).total_seconds()


def _duration(text: str) -> float:
    """Read 24h, 90m, 30s, 2d or seconds."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd]?)", text)
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no time such as 24h, 90m or 30s")
    return float(match[1]) * _UNITS[match[2] or "s"]
