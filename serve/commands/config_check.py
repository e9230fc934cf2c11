"""`moegate config check FILE`: every mistake of a settings file and of the files it names, before anything starts.

Reads the file alone, as it would be read on another machine: neither the environment nor the command line adds to it.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import orjson

from experts.catalog.prices import PricesError, load_prices
from experts.catalog.spec import Catalog, CatalogError, load_catalog
from router.errors import RouterError
from serve.access.exposure import check_exposure
from serve.access.keys import asks_for_keys, load_keys
from serve.costs.ledger import open_ledger
from serve.live.remote.mirrors import bring
from serve.routing.kinds import load_router
from serve.settings.file import Mistake
from serve.settings.tree import Settings, SettingsError, check_file
from serve.steps.toolsets.file import read_toolsets


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the subcommand and its arguments."""
    actions = parser.add_subparsers(required=True, metavar="ACTION")
    check = actions.add_parser("check", help="name every mistake of a settings file; exit 1 if there is one")
    check.add_argument("file", type=Path, metavar="FILE", help="settings, as in deploy/gateway.yaml")
    check.add_argument("--json", action="store_true", help="one JSON object in place of lines")
    check.set_defaults(command=run)


def run(arguments: argparse.Namespace) -> int:
    """Print what was found; return 1 if anything was."""
    mistakes = find(arguments.file)
    if arguments.json:
        found = {"file": str(arguments.file), "ok": not mistakes, "mistakes": [one.as_dict() for one in mistakes]}
        print(orjson.dumps(found).decode())
    elif mistakes:
        for mistake in mistakes:
            print(mistake, file=sys.stderr)
    else:
        print(f"{arguments.file}: no mistake found")
    return 1 if mistakes else 0


def find(path: Path) -> list[Mistake]:
    """List all mistakes: the settings' own first; only of settings that hold, those of the files they name."""
    settings, mistakes = check_file(path)
    if settings is None:
        return mistakes
    try:
        return list(_beyond(bring(settings)[0]))
    except SettingsError as error:
        return [Mistake(line, "remote") for line in str(error).splitlines()]


def _catalog(settings: Settings) -> Catalog:
    return load_catalog(settings.experts.catalog, load_prices(settings.cost.prices))


def _beyond(settings: Settings) -> Iterator[Mistake]:
    steps: dict[str, Callable[[Settings], object]] = {
        "access": lambda given: check_exposure(given, has_keys=asks_for_keys(given.access, load_keys(given.access))),
        "tls": _tls,
        "cost.prices": lambda given: load_prices(given.cost.prices),  # before the catalogue, which reads them as well
        "experts.catalog": _catalog,
        "cost": _cost,
        "toolsets": lambda given: given.toolsets.file and read_toolsets(given.toolsets.file),
        "router": lambda given: load_router(given.router, _catalog(given)),
    }
    said = set()
    for setting, step in steps.items():
        try:
            step(settings)
        except (SettingsError, CatalogError, PricesError, RouterError, OSError) as error:
            for line in str(error).splitlines():
                if line not in said:  # a catalogue that cannot be read is found by two steps
                    yield Mistake(line, setting)
                said.add(line)


def _cost(settings: Settings) -> None:
    prices = load_prices(settings.cost.prices)
    open_ledger(load_catalog(settings.experts.catalog, prices), prices, settings.cost, workers=settings.workers)


def _tls(settings: Settings) -> None:
    """Open each file, which a door does only when it opens."""
    for name in ("certificate", "key", "client_ca"):
        path: Path | None = getattr(settings.tls, name)
        if path is not None and not path.is_file():
            raise SettingsError(f"{name}: {path} does not exist")
