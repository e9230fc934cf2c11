"""Python's garbage collector, tuned for a serving process. Whoever runs a gateway calls this after the start.

What was made at the start (modules, the router's tables, settings) lives as long as the process. A request's objects
are freed by their reference counts when it ends. By default the collector scans both again and again: a collection for
every 700 objects that live a little longer, which hundreds of open streams always have.
"""

import gc
from typing import Final

_YOUNG: Final = 20_000  # container objects made and not yet freed before the youngest are looked at


def freeze_gc() -> None:
    """Leave what exists now out of every later collection, and collect less often."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG, *gc.get_threshold()[1:])
