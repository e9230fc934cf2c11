"""`moegate flywheel evaluate | promote | rollback`: whether a candidate is better, and which one serves."""

import argparse
import getpass
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import orjson
from rich.console import Console
from rich.table import Table

from experts.catalog.spec import load_catalog
from experts.flywheel.changes import Changes, RegistryError
from experts.flywheel.history import Change
from experts.flywheel.verdict import Judgement, Rules, Verdict, judge
from serve.commands.flywheel_data import registry_of
from serve.live.remote.registries import ROUTER
from serve.routing.router_trial import NAME
from serve.settings.tree import Settings, SettingsError, load_settings

MAY_SERVE: Final = (Verdict.BETTER, Verdict.NOT_WORSE, Verdict.NO_HEADROOM)


def add_evaluate(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `evaluate`."""
    parser.add_argument("expert", help="a name of the catalogue")
    parser.add_argument(
        "--on",
        nargs=3,
        action="append",
        required=True,
        metavar=("BAR", "INCUMBENT", "CANDIDATE"),
        help="both's answers to the same rows, as experts.evaluate --answers writes them; may be repeated",
    )
    parser.add_argument(
        "--goal", required=True, metavar="BAR.MEASURE", help="what is to be better; others may not fall"
    )
    parser.add_argument(
        "--candidate", type=Path, metavar="FOLDER", help="its files: kept in the registry with the verdict"
    )
    parser.add_argument("--curated", default="", metavar="DIGEST", help="the set that it was made with")
    parser.add_argument("--margin", type=float, default=Rules().margin, help="what may be lost (default %(default)s)")
    parser.set_defaults(command=_evaluate)


def _evaluate(arguments: argparse.Namespace) -> None:
    settings = load_settings(arguments.config)
    pairs: dict[str, tuple[list[float], list[float]]] = {}
    for bar, incumbent, candidate in arguments.on:
        pairs |= pairs_of(bar, Path(incumbent), Path(candidate))
    try:
        judgement = judge(pairs, arguments.goal, Rules(margin=arguments.margin))
    except KeyError:
        raise SettingsError(f"--goal: there is no {arguments.goal}; there are {', '.join(pairs)}") from None
    facts: dict[str, Any] = {"expert": arguments.expert, **judgement.as_dict()}
    if arguments.candidate is not None:
        made = {"curated": arguments.curated, "judgement": judgement.as_dict()}
        facts["candidate"] = _added(_registry(settings, arguments.expert), arguments.candidate, made)
    explain(judgement, facts)
    _tell(arguments, facts)


def add_promote(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `promote`."""
    parser.add_argument("expert", help="a name of the catalogue")
    parser.add_argument("candidate", help="the digest that `evaluate --candidate` printed")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    parser.add_argument(
        "--accept",
        choices=[verdict.value for verdict in MAY_SERVE],
        default=Verdict.BETTER.value,
        help="the least that must have been found (default %(default)s)",
    )
    parser.set_defaults(command=_promote)


def _promote(arguments: argparse.Namespace) -> None:
    registry = _registry(load_settings(arguments.config), arguments.expert)
    manifest = registry.candidates().get(arguments.candidate)
    if manifest is None:
        raise SettingsError(f"there is no candidate {arguments.candidate}; there are {_names(registry)}")
    verdict = Verdict(manifest["judgement"]["verdict"])
    accepted = MAY_SERVE[: MAY_SERVE.index(Verdict(arguments.accept)) + 1]
    if verdict not in accepted:
        raise SettingsError(f"{arguments.candidate} was found {verdict.value!r}: it is not promoted")
    ask(f"{arguments.expert}: let {arguments.candidate} ({verdict.value}) serve?", is_sure=arguments.yes)
    try:
        change = registry.promote(arguments.candidate, by=getpass.getuser(), why=verdict.value)
    except RegistryError as error:
        raise SettingsError(f"{arguments.expert}: {error}") from None
    _changed(arguments, registry, change)


def add_rollback(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `rollback`."""
    parser.add_argument("expert", help="a name of the catalogue")
    parser.add_argument("--why", default="", help="for the history")
    parser.set_defaults(command=_rollback)


def _rollback(arguments: argparse.Namespace) -> None:
    registry = _registry(load_settings(arguments.config), arguments.expert)
    try:
        change = registry.roll_back(by=getpass.getuser(), why=arguments.why)
    except RegistryError as error:
        raise SettingsError(f"{arguments.expert}: {error}") from None
    _changed(arguments, registry, change)


def _changed(arguments: argparse.Namespace, registry: Changes, change: Change) -> None:
    now = f"{change.digest} serves" if change.digest else "what the catalogue shipped with serves"
    print(f"{arguments.expert}: {change.event}: {now}, as {registry.link} says")
    is_router = registry.link.parent.parent.name == ROUTER
    soon = "gateways take it up while they serve" if is_router else "the experts take it up when they are next started"
    print(f"{soon}{'' if is_router else ' or rolled out'}")
    _tell(arguments, {"expert": arguments.expert, "event": change.event, "serves": change.digest, "at": change.at})


def _registry(settings: Settings, expert: str) -> Changes:
    """The registry of an expert of the catalogue, or the router's.

    Raises:
        SettingsError: there is no such expert.
    """
    names = load_catalog(settings.experts.catalog).names
    if expert == NAME and expert not in names:
        return registry_of(settings, expert, ROUTER)
    if expert not in names:
        raise SettingsError(f"there is no expert {expert!r}; there are {', '.join(names)}")
    return registry_of(settings, expert)


def pairs_of(bar: str, incumbent: Path, candidate: Path) -> dict[str, tuple[list[float], list[float]]]:
    """Each measure's values of the rows that both have answered and that it applies to.

    Raises:
        SettingsError: a file holds something else, or no row of both.
    """
    old, new = _verdicts(incumbent), _verdicts(candidate)
    common = [name for name in old if name in new]
    if not common:
        raise SettingsError(f"{incumbent} and {candidate} have no row in common")
    measures = dict.fromkeys(measure for name in common for measure in old[name] if measure in new[name])
    return {
        f"{bar}.{measure}": (_column(old, common, measure, new), _column(new, common, measure, old))
        for measure in measures
    }


def _column(
    verdicts: dict[str, dict[str, float]], names: Sequence[str], measure: str, others: dict[str, dict[str, float]]
) -> list[float]:
    both = [name for name in names if measure in verdicts[name] and measure in others[name]]
    return [float(verdicts[name][measure]) for name in both]


def _verdicts(path: Path) -> dict[str, dict[str, float]]:
    try:
        lines = [orjson.loads(line) for line in path.read_bytes().splitlines() if line.strip()]
        return {str(line["id"]): dict(line["verdict"]) for line in lines}
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError):
        raise SettingsError(f"{path}: not the answers that experts.evaluate --answers writes") from None


def explain(judgement: Judgement, facts: dict[str, Any]) -> None:
    """Say what a judgement found."""
    table = Table("measure", "n", "incumbent", "candidate", "difference (95 %)", "verdict")
    for one in judgement.findings:
        difference = f"{one.candidate - one.incumbent:+.3f} ({one.low:+.3f} to {one.high:+.3f})"
        needed = f"; about {one.needed} rows would say" if one.needed else ""
        means = (f"{one.incumbent:.3f}", f"{one.candidate:.3f}")
        table.add_row(one.name, str(one.n), *means, difference, one.verdict.value + needed)
    Console().print(table)
    print(f"{facts['expert']}: {judgement.verdict.value}, because of {judgement.because}")
    if "candidate" in facts:
        print(f"kept as candidate {facts['candidate']}")


def ask(question: str, *, is_sure: bool) -> None:
    """Have a human agree.

    Raises:
        SettingsError: nobody does.
    """
    if is_sure:
        return
    if not sys.stdin.isatty():
        raise SettingsError(f"{question} Nobody is here to ask: say --yes")
    if input(f"{question} [y/N] ").strip().lower() not in ("y", "yes"):
        raise SettingsError("nothing is changed")


def _added(registry: Changes, folder: Path, made: dict[str, Any]) -> str:
    try:
        return registry.add(folder, made)
    except RegistryError as error:
        raise SettingsError(f"--candidate: {error}") from None


def _names(registry: Changes) -> str:
    return ", ".join(registry.candidates()) or "none"


def _tell(arguments: argparse.Namespace, facts: dict[str, Any]) -> None:
    if arguments.json:
        print(orjson.dumps(facts).decode())
