"""How a command says what went wrong: on standard error, one line an error, whatever that is connected to.

Rich would wrap a line at 80 columns where there is no terminal, and read `[train]` as its own markup.
"""

from __future__ import annotations

import sys
from typing import Final

INTERRUPTED: Final = 130
"""What a shell reports of a command that Ctrl-C ended."""


def complain(error: object) -> None:
    """Print `error: ...` for each line of a message; red where a person sees it."""
    before, after = ("\x1b[31m", "\x1b[0m") if sys.stderr.isatty() else ("", "")
    for line in str(error).splitlines() or [type(error).__name__]:
        print(f"{before}error: {line}{after}", file=sys.stderr)
