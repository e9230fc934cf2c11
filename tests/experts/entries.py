"""A catalogue entry for tests that need some expert."""

from __future__ import annotations

from typing import Any

from experts.catalog.spec import ExpertSpec


def expert_spec(**fields: Any) -> ExpertSpec:
    """An expert that echoes; `fields` as in the catalogue."""
    entry: dict[str, Any] = {
        "name": "parrot",
        "description": "echoes",
        "base": "pypi:none",
        "engine": "echo",
        "context_window": 64,
        "licence": "MIT",
        "price": {"usd_per_million": {"prompt": 1, "completion": 2}},
    }
    return ExpertSpec.model_validate(entry | fields)
