"""`moegate flywheel`: the loop from traffic to better experts, step by step."""

import argparse
from pathlib import Path

import orjson

from serve.interactions import segments
from serve.interactions.stores import StoreFailed, open_segments
from serve.settings.tree import SettingsError, load_settings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the subcommands and their arguments."""
    actions = parser.add_subparsers(required=True, metavar="ACTION")

    forgetting = actions.add_parser("forget", help="delete what was kept of a client, or of one answer, for good")
    whom = forgetting.add_mutually_exclusive_group(required=True)
    whom.add_argument("--client", metavar="NAME", help="everything of this API key; '' = of callers without one")
    whom.add_argument("--response", metavar="ID", help="the answer of this id")
    forgetting.set_defaults(command=_forget)

    for action in (forgetting,):
        action.add_argument("--config", type=Path, metavar="FILE", help="settings, as in deploy/gateway.yaml")
        action.add_argument("--json", action="store_true", help="one JSON line last")


def _forget(arguments: argparse.Namespace) -> None:
    settings = load_settings(arguments.config).interactions
    is_meant = (
        segments.of_response(arguments.response) if arguments.client is None else segments.of_client(arguments.client)
    )
    try:
        gone = segments.forget(open_segments(settings), is_meant)
    except StoreFailed as error:
        raise SettingsError(f"the interactions cannot be read or written: {error}; nothing else is lost") from None
    later_s = settings.flush_s if settings.target is None or "://" not in settings.target else settings.segment_s
    print(f"{gone.records} records deleted out of {gone.segments} segments")
    print(f"a gateway that runs may hold answers of the last {later_s:g} seconds: then ask once more")
    if arguments.json:
        print(orjson.dumps({"records": gone.records, "segments": gone.segments}).decode())
