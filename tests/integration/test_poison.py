"""One tenant's poison leaves another tenant's traffic as it was: `python -m loadtests.poison`, for twenty seconds."""

from pathlib import Path

import pytest

from loadtests.poison import poison


@pytest.mark.ray
@pytest.mark.slow
def test_one_tenants_poison_hurts_nobody_else(tmp_path: Path) -> None:
    findings = poison(tmp_path, "echo", minutes=1 / 3, rate=40, ordinary_rate=8)
    assert not findings.amiss
    assert not findings.failed
    assert not findings.open_circuits
    assert not findings.not_ready
    assert findings.refused > 250
    assert len(findings.ordinary_s[True]) > 50
