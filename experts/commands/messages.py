"""How a command reports an error: on standard error, one line an error, whatever standard error is connected to.

Rich would wrap a line at 80 columns without a terminal, and would read `[train]` as its own markup.
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
