"""A gateway that keeps interactions, and what it has kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def overrides(tmp_path: Path) -> dict[str, Any]:
    return {"interactions": {"keys": ["*"], "target": str(tmp_path / "kept"), "flush_s": 0.02}}
