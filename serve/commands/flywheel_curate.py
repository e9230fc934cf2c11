"""`moegate flywheel curate EXPERT` and `status`: what there is to learn from."""

import argparse
from collections import Counter
from pathlib import Path
from typing import Any

import orjson
from rich.console import Console
from rich.table import Table

from experts.catalog.spec import load_catalog
from experts.flywheel.curation import Curated, Wants, curate
from experts.flywheel.frozen import freeze, latest
from experts.flywheel.near_duplicates import Unseen
from experts.flywheel.turn import Turns
from serve.commands.flywheel_data import interactions, opened_ratings, registry_of
from serve.settings.tree import Settings, SettingsError, load_settings


def add_curate(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `curate`."""
    wants = Wants()
    parser.add_argument("expert", help="whose answers; a name of the catalogue")
    parser.add_argument("--held-out", nargs="+", type=Path, default=[], metavar="FILE", help="rows never learned from")
    parser.add_argument("--least-train", type=int, default=wants.train, help="rows to learn from (default %(default)s)")
    parser.add_argument("--least-held-out", type=int, default=wants.held_out, help="to judge by (default %(default)s)")
    parser.add_argument("--least-people", type=int, default=wants.people, help="they are of (default %(default)s)")
    parser.add_argument("--unrated", action="store_true", help="learn from answers that nobody has rated, too")
    parser.set_defaults(command=_curate)


def _curate(arguments: argparse.Namespace) -> None:
    settings = load_settings(arguments.config)
    _check_expert(arguments.expert, load_catalog(settings.experts.catalog).names)
    unseen = Unseen(row for path in arguments.held_out for row in rows_of(path))
    wants = Wants(
        train=arguments.least_train,
        held_out=arguments.least_held_out,
        people=arguments.least_people,
        takes_unrated=arguments.unrated,
    )
    with opened_ratings(settings) as ratings:
        curated = curate(interactions(settings, ratings), arguments.expert, unseen, wants)
    facts: dict[str, Any] = {"expert": arguments.expert, **curated.as_dict()}
    if not curated.missing:
        facts["folder"] = str(freeze(curated, settings.flywheel.place / "curated", arguments.expert).folder)
    _explain(curated, facts)
    if arguments.json:
        print(orjson.dumps(facts).decode())


def _explain(curated: Curated, facts: dict[str, Any]) -> None:
    rows = ", ".join(f"{count} {name}" for name, count in facts["rows"].items())
    print(f"{facts['expert']}: {facts['verdict']}: rows {rows}; people {curated.people}")
    for reason, count in sorted(curated.left_out.items(), key=lambda pair: -pair[1]):
        print(f"  left out, {reason}: {count}")
    for name, (have, need) in curated.missing.items():
        print(f"  too little: {name}: there are {have}, {need} are needed")
    if "folder" in facts:
        print(f"frozen as {facts['digest']} in {facts['folder']}")


def add_status(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `status`."""
    parser.set_defaults(command=_status)


def _status(arguments: argparse.Namespace) -> None:
    settings = load_settings(arguments.config)
    kept: Counter[str] = Counter()
    rated: Counter[str] = Counter()
    liked: Counter[str] = Counter()
    people: dict[str, set[str]] = {}
    with opened_ratings(settings) as ratings:
        for one in interactions(settings, ratings):
            kept[one.expert] += 1
            rated[one.expert] += one.rating is not None
            liked[one.expert] += (one.rating or 0.0) > 0
            people.setdefault(one.expert, set()).add(one.person)
    rows = [
        {
            "expert": name,
            "kept": kept[name],
            "rated": rated[name],
            "liked": liked[name],
            "people": len(people.get(name, ())),
            "curated": _curated(settings.flywheel.place, name),
            **_stands(settings, name),
        }
        for name in load_catalog(settings.experts.catalog).names
    ]
    table = Table("expert", "kept", "rated", "liked", "people", "latest set", "serves", "on trial", "turn")
    for row in rows:
        table.add_row(*(str("-" if value is None else value) for value in row.values()))
    Console().print(table)
    if arguments.json:
        print(orjson.dumps(rows).decode())


def _curated(place: Path, expert: str) -> str | None:
    found = latest(place / "curated", expert)
    return None if found is None else str(found.manifest["digest"])


def _stands(settings: Settings, expert: str) -> dict[str, str | None]:
    """What serves, who is on trial and how far, and where the latest turn is."""
    place = settings.flywheel.place
    registry, turn = registry_of(settings, expert), Turns(place / "turns", expert).latest()
    trial = registry.trial
    return {
        "serves": registry.current,
        "trial": None if trial is None else f"{trial.digest}: {trial.event} {trial.share:.0%}",
        "turn": None if turn is None else f"{turn.number}: {turn.ended or turn.step}",
    }


def _check_expert(name: str, known: tuple[str, ...]) -> None:
    if name not in known:
        raise SettingsError(f"there is no expert {name!r}; there are {', '.join(known)}")


def rows_of(path: Path) -> list[Any]:
    """Read JSON lines.

    Raises:
        SettingsError: a line is no JSON.
        OSError: the file cannot be read.
    """
    try:
        return [orjson.loads(line) for line in path.read_bytes().splitlines() if line.strip()]
    except orjson.JSONDecodeError:
        raise SettingsError(f"{path}: not JSON lines") from None
