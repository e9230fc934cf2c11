"""`moegate flywheel`: the loop from traffic to better experts, step by step."""

import argparse
from pathlib import Path
from typing import Any

import orjson

from experts.commands.outputs import NotOurs, claim, json_lines_with, write
from serve.commands.flywheel_curate import add_curate, add_status
from serve.commands.flywheel_data import opened_ratings
from serve.commands.flywheel_registry import add_evaluate, add_promote, add_rollback
from serve.commands.flywheel_router import add_router
from serve.commands.flywheel_run import add_run
from serve.commands.flywheel_shadow import add_adopt, add_canary, add_shadow
from serve.commands.flywheel_tune import add_tune
from serve.interactions import segments
from serve.interactions.joined import rated_rows
from serve.interactions.stores import open_segments
from serve.settings.tree import SettingsError, load_settings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the subcommands and their arguments."""
    actions = parser.add_subparsers(required=True, metavar="ACTION")

    export = actions.add_parser("export", help="rated answers beside their decisions: JSON lines")
    export.add_argument("--out", type=Path, required=True, metavar="FILE", help="where to; router.evaluation.offpolicy")
    export.set_defaults(command=_export)

    forgetting = actions.add_parser("forget", help="delete what was kept of a client, or of one answer, for good")
    whom = forgetting.add_mutually_exclusive_group(required=True)
    whom.add_argument("--client", metavar="NAME", help="everything of this API key; '' = of callers without one")
    whom.add_argument("--response", metavar="ID", help="the answer of this id")
    forgetting.set_defaults(command=_forget)

    status = actions.add_parser("status", help="how much is kept of each expert, and where it stands")
    add_status(status)

    curating = actions.add_parser("curate", help="make a set to learn from of what is kept, or say what it lacks")
    add_curate(curating)

    tuning = actions.add_parser("tune", help="train a candidate on the latest curated set")
    add_tune(tuning)

    evaluating = actions.add_parser("evaluate", help="say whether a candidate is better than what serves")
    add_evaluate(evaluating)

    adopting = actions.add_parser("adopt", help="take the catalogue's adapter into the registry, once")
    add_adopt(adopting)

    shadowing = actions.add_parser("shadow", help="let a candidate answer unseen, and compare")
    add_shadow(shadowing)

    trying = actions.add_parser("canary", help="give a candidate on trial a further share of the traffic, if it may")
    add_canary(trying)

    promoting = actions.add_parser("promote", help="let a candidate serve")
    add_promote(promoting)

    undoing = actions.add_parser("rollback", help="undo the last promotion")
    add_rollback(undoing)

    running = actions.add_parser(
        "run", help="all of these, as far as evidence and approval allow; goes on where it was"
    )
    add_run(running)

    routing = actions.add_parser("router", help="refit the router on who should have answered, and judge it")
    add_router(routing)

    steps = (routing, running, curating, tuning, evaluating, adopting, shadowing, trying, promoting, undoing)
    for action in (status, *steps, export, forgetting):
        action.add_argument("--config", type=Path, metavar="FILE", help="settings, as in deploy/gateway.yaml")
        action.add_argument("--json", action="store_true", help="one JSON line last")


def _export(arguments: argparse.Namespace) -> None:
    settings = load_settings(arguments.config)
    try:
        claim(arguments.out, json_lines_with("response_id", "reward", "propensity"))
    except NotOurs as error:
        raise SettingsError(str(error)) from None
    with opened_ratings(settings) as ratings:
        rows = list(rated_rows(segments.rows(open_segments(settings.interactions)), ratings.ratings()))
    write(arguments.out, b"".join(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE) for row in rows))
    print(f"{len(rows)} rated answers")
    _tell(arguments, {"n": len(rows)})


def _forget(arguments: argparse.Namespace) -> None:
    settings = load_settings(arguments.config)
    kept = settings.interactions
    is_meant = (
        segments.of_response(arguments.response) if arguments.client is None else segments.of_client(arguments.client)
    )
    with opened_ratings(settings) as ratings:
        gone = segments.forget(open_segments(kept), is_meant)
        rated = ratings.forget(key=arguments.client, response_id=arguments.response)
    later_s = kept.flush_s if kept.target is None or "://" not in kept.target else kept.segment_s
    print(f"{gone.records} records deleted out of {gone.segments} segments, and {rated} ratings")
    print(f"a gateway that runs may hold answers of the last {later_s:g} seconds: then ask once more")
    _tell(arguments, {"records": gone.records, "segments": gone.segments, "ratings": rated})


def _tell(arguments: argparse.Namespace, facts: dict[str, Any]) -> None:
    if arguments.json:
        print(orjson.dumps(facts).decode())
