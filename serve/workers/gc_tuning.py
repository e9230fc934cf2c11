"""Python's garbage collector, set for a process that serves; whoever runs one asks for it once started.

What was made at the start (modules, the router's tables, settings) lives as long as the process, and a request's
objects are freed by their reference counts when it ends. As Python ships, the collector walks through both again and
again: a collection for every 700 objects that live a little longer, which hundreds of open streams always do.
"""

import gc
from typing import Final

_YOUNG: Final = 20_000  # container objects made and not yet freed before the youngest are looked at


def settle() -> None:
    """Leave what exists now out of every later collection, and collect less often."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG, *gc.get_threshold()[1:])
