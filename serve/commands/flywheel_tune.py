"""`moegate flywheel tune EXPERT`: train a candidate on the latest curated set, by the recipe that made the expert."""

import argparse
import shlex
import subprocess
import sys

from experts.catalog.spec import load_catalog
from experts.flywheel.frozen import FrozenSet, latest
from experts.flywheel.tune import TOKENS, CannotTune, tune_command
from serve.commands.flywheel_data import registry_of
from serve.settings.tree import Settings, SettingsError, load_settings


def add_tune(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `tune`."""
    parser.add_argument("expert", help="a name of the catalogue that has a recipe")
    parser.add_argument("--from-base", action="store_true", help="not from what serves now")
    parser.add_argument("--python", default=sys.executable, help="an interpreter that has moegate[train]")
    parser.add_argument("--dry-run", action="store_true", help="print the command and do no more")
    bound = "compute N tokens at most, the set's rows first; `all` = as many as there are (default %(default)s)"
    parser.add_argument("--tokens", type=_bound, default=TOKENS, metavar="N", help=bound)
    parser.add_argument("--options", default="", metavar="TEXT", help="for experts.finetune: --options='--limit 1000'")
    parser.set_defaults(command=_tune)


def _tune(arguments: argparse.Namespace) -> int:
    settings = load_settings(arguments.config)
    expert = arguments.expert
    curated = latest(settings.flywheel.place / "curated", expert)
    if curated is None:
        raise SettingsError(f"{expert}: nothing is curated yet: moegate flywheel curate {expert}")
    command = command_of(
        settings,
        expert,
        curated,
        python=arguments.python,
        options=arguments.options,
        from_base=arguments.from_base,
        tokens=arguments.tokens,
    )
    print(shlex.join(command), file=sys.stderr)
    return 0 if arguments.dry_run else subprocess.run(command, check=False).returncode


def command_of(
    settings: Settings,
    expert: str,
    curated: FrozenSet,
    *,
    python: str,
    options: str,
    from_base: bool,
    tokens: int | None,
) -> list[str]:
    """Return the command line that trains a candidate.

    Raises:
        SettingsError: nothing says how the expert is trained.
    """
    place = settings.flywheel.place
    spec = load_catalog(settings.experts.catalog).get(expert)
    start = None if spec is None or from_base else spec.adapter
    serving = registry_of(settings, expert)
    if serving.current is not None and not from_base:
        start = str(serving.link.resolve())
    try:
        return tune_command(python, expert, curated, start, place / "tuned", tokens, shlex.split(options))
    except CannotTune as error:
        raise SettingsError(str(error)) from None


def _bound(text: str) -> int | None:
    """Read a number of tokens, or `all`."""
    if text == "all":
        return None
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is neither a number of tokens above 0 nor `all`")
    return int(text)
