"""`moegate flywheel adopt | shadow | canary`: who is tried out, how far, and what it has shown."""

import argparse
import getpass
import time
from typing import Any

import orjson

from experts.catalog.spec import adapter_folder
from experts.flywheel.registry import RegistryError
from experts.flywheel.stages import Move, Step
from serve.commands.flywheel_registry import ask
from serve.commands.flywheel_trial import Bench, Trying, open_bench
from serve.settings.tree import SettingsError, load_settings


def add_adopt(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `adopt`."""
    parser.add_argument("expert", help="a name of the catalogue")
    parser.set_defaults(command=_adopt)


def _adopt(arguments: argparse.Namespace) -> None:
    bench = Bench(load_settings(arguments.config), arguments.expert)
    change = adopt(bench)
    registry = bench.registry
    print(f"{bench.expert}: " + ("something serves out of the registry already" if change is None else "adopted"))
    print(f"name these links in the catalogue: adapter: {registry.link}")
    print(f"and in the entry of its canary (canary_of: {bench.expert}): adapter: {registry.next_link}")
    _tell(arguments, {"expert": bench.expert, "current": str(registry.link), "next": str(registry.next_link)})


def adopt(bench: Bench) -> Any:  # noqa: ANN401  # a change, or None
    """Take the catalogue's adapter into the registry, if nothing serves out of it yet.

    Raises:
        SettingsError: the expert has no adapter of its own in a folder.
    """
    spec = bench.catalog.get(bench.expert)
    adapter = None if spec is None else spec.adapter
    if adapter is None or "://" in adapter:
        raise SettingsError(f"{bench.expert}: its entry names no adapter in a folder, so there is nothing to adopt")
    folder = adapter_folder(adapter)
    try:
        return bench.registry.adopt(folder, by=getpass.getuser())
    except RegistryError as error:
        raise SettingsError(f"{bench.expert}: {error}") from None


def add_shadow(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `shadow`."""
    parser.add_argument("expert", help="a name of the catalogue that has a canary's entry, or `router`")
    parser.add_argument("--candidate", default="", metavar="DIGEST", help="let it answer unseen from now on")
    parser.add_argument("--off", action="store_true", help="end the trial")
    parser.set_defaults(command=_shadow)


def _shadow(arguments: argparse.Namespace) -> None:
    bench = open_bench(load_settings(arguments.config), arguments.expert)
    try:
        if arguments.off:
            bench.end(why="by hand")
            print(f"{bench.expert}: nobody is on trial any more")
            _tell(arguments, {"expert": bench.expert, "trial": None})
            return
        if arguments.candidate:
            bench.begin(str(arguments.candidate), why="by hand")
    except RegistryError as error:
        raise SettingsError(f"{bench.expert}: {error}") from None
    trial = bench.trial
    print(f"{bench.expert}: {trial.digest} is on trial: {trial.event} {trial.share:.0%}, since {trial.at}")
    shown = bench.tell_unseen()
    on_trial = {"candidate": trial.digest, "event": trial.event, "share": trial.share, "since": trial.at}
    _tell(arguments, {"expert": bench.expert, "trial": on_trial, **shown})


def add_canary(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `canary`."""
    parser.add_argument("expert", help="a name of the catalogue whose candidate is on trial, or `router`")
    parser.add_argument("--yes", action="store_true", help="do not ask before it gets its first share of the traffic")
    parser.add_argument("--watch", type=float, default=0.0, metavar="SECONDS", help="look again and again, so often")
    parser.add_argument("--off", action="store_true", help="end the trial")
    parser.set_defaults(command=_canary)


def _canary(arguments: argparse.Namespace) -> None:
    bench = open_bench(load_settings(arguments.config), arguments.expert)
    try:
        if arguments.off:
            bench.end(why="by hand")
            print(f"{bench.expert}: nobody is on trial any more")
            _tell(arguments, {"expert": bench.expert, "move": Move.END.value, "share": 0.0, "why": "by hand"})
            return
        step = move(bench, is_sure=arguments.yes)
        while arguments.watch and step.move in (Move.WAIT, Move.HOLD, Move.UP):
            time.sleep(arguments.watch)
            step = move(bench, is_sure=arguments.yes)
    except RegistryError as error:
        raise SettingsError(f"{bench.expert}: {error}") from None
    _tell(arguments, {"expert": bench.expert, "move": step.move.value, "share": step.share, "why": step.why})


def move(bench: Trying, *, is_sure: bool) -> Step:
    """Decide what comes next, say so, and do it.

    Raises:
        SettingsError: nobody agrees.
        RegistryError: it cannot be done.
    """
    step = bench.next_step()
    print(f"{bench.expert}: {bench.trial.digest}: {step.move.value}: {step.why}")
    if step.move is Move.UP:
        if bench.trial.event != "canary":
            question = f"{bench.expert}: let {bench.trial.digest} answer {step.share:.0%} of its conversations?"
            ask(question, is_sure=is_sure)
        bench.give(step.share, why=step.why)
        print(f"{bench.expert}: it gets {step.share:.0%} now")
    elif step.move is Move.END:
        bench.end(why=step.why)
    return step


def _tell(arguments: argparse.Namespace, facts: dict[str, Any]) -> None:
    if arguments.json:
        print(orjson.dumps(facts).decode())
