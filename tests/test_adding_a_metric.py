"""docs/adding-a-metric.md works as it is written: its steps in a copy of the checkout give a metric that is counted."""

from pathlib import Path

import pytest

from tests.followed_page import follow, run


@pytest.mark.slow
def test_the_page(tmp_path: Path) -> None:
    done = follow("adding-a-metric.md", tmp_path)
    assert {*done} == {
        "serve/telemetry/metrics/lengths.py",
        "serve/telemetry/metrics/__init__.py",
        "serve/telemetry/observers/lengths.py",
        "serve/parts.py",
        "docs/architecture.md",
        "tests/serve/test_lengths.py",
    }
    table = "tests/test_docs.py::test_the_metric_table_is_the_registry"
    printed = run(tmp_path, "pytest", "-p", "no:cacheprovider", "-v", "tests/serve/test_lengths.py", table)
    assert "2 passed" in printed
