"""`moegate key add | revoke | list | usage`: who may come in. A key is printed once; files hold its digest alone.

A gateway that runs takes the changed file up within two seconds (`serve.live`), on every worker.
"""

import argparse
import json
import os
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError
from rich.console import Console
from rich.table import Table

from serve.access import keys_file
from serve.access.keys import load_keys, new_key
from serve.settings.access import KeySettings
from serve.settings.tree import SettingsError, load_settings

API_KEY: Final = "MOEGATE_API_KEY"
_TIMEOUT_S: Final = 10.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the subcommands and their arguments."""
    actions = parser.add_subparsers(required=True, metavar="ACTION")

    add = actions.add_parser("add", help="make a key; it is printed once, the file holds its digest")
    add.add_argument("name", help="whose it is: the tenant in logs")
    add.add_argument("--rpm", type=int, help="requests a minute")
    add.add_argument("--tpm", type=int, help="tokens a minute, of prompts and answers together")
    add.add_argument("--usd", type=float, help="USD a day or month")
    add.add_argument("--usd-per", choices=("day", "month"), default="day", help="what --usd is for (default day)")
    add.add_argument("--operator", action="store_true", help="it may see what every key has used")
    add.add_argument(
        "--collection",
        action="append",
        default=[],
        metavar="NAME",
        help="it may search this one (repeat it), * = all",
    )
    add.add_argument(
        "--toolset",
        action="append",
        default=[],
        metavar="NAME",
        help="it may name this set of tools (repeat it), * = all",
    )
    add.set_defaults(command=_add)

    revoke = actions.add_parser("revoke", help="take a key out; its next request is refused")
    revoke.add_argument("name")
    revoke.set_defaults(command=_revoke)

    listing = actions.add_parser("list", help="say whose keys there are, and their limits")
    listing.set_defaults(command=_list)

    for action in (add, revoke, listing):
        action.add_argument("--file", type=Path, help="the file of keys (default: the settings' access.keys_file)")
        action.add_argument("--config", type=Path, metavar="FILE", help="settings, as in deploy/gateway.yaml")

    usage = actions.add_parser("usage", help=f"what each key has used; needs an operator's key in ${API_KEY}")
    usage.add_argument("--url", default="http://127.0.0.1:8000", help="the gateway (default %(default)s)")
    usage.add_argument("--json", action="store_true", help="the rows as JSON in place of a table")
    usage.set_defaults(command=_usage)


def _add(arguments: argparse.Namespace) -> None:
    secret, digest = new_key()
    try:
        key = KeySettings(
            name=arguments.name,
            sha256=digest,
            rpm=arguments.rpm,
            tpm=arguments.tpm,
            usd=arguments.usd,
            usd_per=arguments.usd_per,
            operator=arguments.operator,
            collections=tuple(arguments.collection),
            toolsets=tuple(arguments.toolset),
        )
    except ValidationError as error:
        raise SettingsError(_complaint(error)) from None
    path = _file(arguments)
    if path is None:
        print(f"# one entry of the file that access.keys_file names\n{keys_file.entry_text(key)}", end="")
    else:
        keys_file.add(path, key)
        print(f"{key.name}: added to {path}", file=sys.stderr)
    print(f"the key, which is not shown again: {secret}", file=sys.stderr)


def _revoke(arguments: argparse.Namespace) -> None:
    path = _file(arguments)
    if path is None:
        raise SettingsError("say in which file the key is: --file FILE, or settings with access.keys_file")
    keys_file.revoke(path, arguments.name)
    print(f"{arguments.name}: revoked in {path}", file=sys.stderr)


def _list(arguments: argparse.Namespace) -> None:
    keys = keys_file.read(arguments.file) if arguments.file else load_keys(load_settings(arguments.config).access)
    table = Table("name", "sha256", "requests/min", "tokens/min", "USD")
    for key in keys:
        budget = None if key.usd is None else f"{key.usd:g} a {key.usd_per}"
        table.add_row(key.name, f"{key.sha256[:12]}…", *map(_shown, (key.rpm, key.tpm, budget)))
    Console().print(table)


def _usage(arguments: argparse.Namespace) -> None:
    rows = _fetch(arguments.url.rstrip("/") + "/v1/usage")["data"]
    if arguments.json:
        print(json.dumps(rows))
        return
    table = Table("key", "requests", "prompt tokens", "completion tokens", "USD", "USD limit", "USD left")
    for row in rows:
        figures = [str(row[name]) for name in ("requests", "prompt_tokens", "completion_tokens")]
        limit, left = (row["limits"] or {}).get("usd"), (row["left"] or {}).get("usd")
        told = None if left is None else f"{left:.6f}"
        table.add_row(row["key"], *figures, f"{row['cost_usd']:.6f}", _shown(limit), _shown(told))
    Console().print(table)


def _fetch(url: str) -> Any:  # noqa: ANN401  # JSON
    """Ask a gateway.

    Raises:
        SettingsError: it cannot be reached, or refuses.
    """
    if not url.startswith(("http://", "https://")):
        raise SettingsError(f"--url: {url!r} is not http://HOST or https://HOST")
    key = os.environ.get(API_KEY)
    request = urllib.request.Request(url, headers={"authorization": f"Bearer {key}"} if key else {})
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        why = {401: f"it asks for a key: set ${API_KEY}", 403: f"the key in ${API_KEY} is not an operator's"}
        raise SettingsError(f"{url}: {why.get(error.code, f'HTTP {error.code}')}") from None
    except (OSError, ValueError) as error:
        raise SettingsError(f"{url}: no usage: {getattr(error, 'reason', type(error).__name__)}") from None


def _shown(limit: float | str | None) -> str:
    return "-" if limit is None else str(limit)


def _file(arguments: argparse.Namespace) -> Path | None:
    return arguments.file or load_settings(arguments.config).access.keys_file


def _complaint(error: ValidationError) -> str:
    """Say what is wrong with a key, by the flag that said it."""
    mistake: Any = error.errors(include_url=False, include_input=False)[0]
    field = str(mistake["loc"][0])
    if field == "name":
        return "a key's name is of letters, digits, '.', '_' and '-'"
    return f"--{field.replace('_', '-')}: {mistake['msg']}"
