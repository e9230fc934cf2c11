"""Where moegate keeps what outlives it, unless a setting names another place."""

import os
from pathlib import Path


def state_folder() -> Path:
    """The user's state folder (XDG base directory specification)."""
    state = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return Path(state) / "moegate"
