"""The client needs nothing but Python: importing it brings in nothing else."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
CODE = """
import json, sys
before = set(sys.modules)
import moegate.client
names = {name.partition(".")[0] for name in set(sys.modules) - before}
print(json.dumps(sorted(name for name in names if name not in sys.stdlib_module_names)))
"""


def test_importing_it_brings_in_nothing_else() -> None:
    told = subprocess.run(
        [sys.executable, "-c", CODE], cwd=ROOT, capture_output=True, text=True, check=True, timeout=120
    )
    assert json.loads(told.stdout) == ["moegate"]
