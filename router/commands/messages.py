"""How this package's commands end: one line an error on standard error and status 1, never a traceback."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from typing import Final

from router.commands.outputs import NotOurs
from router.errors import RouterError

INTERRUPTED: Final = 130
"""What a shell reports of a command that Ctrl-C ended."""


def run_command(parser: argparse.ArgumentParser, work: Callable[[], int]) -> int:
    """Do a command's work; say what it refuses, and return its exit status."""
    try:
        return work()
    except (RouterError, NotOurs, OSError) as error:
        for line in str(error).splitlines():
            print(f"{parser.prog}: error: {line}", file=sys.stderr)
        return 1
    except ImportError as error:
        needs = "install what training needs: pip install 'moegate[train]'"
        print(f"{parser.prog}: error: {error.name} is missing; {needs}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"{parser.prog}: stopped; nothing was written", file=sys.stderr)
        return INTERRUPTED
