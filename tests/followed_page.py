"""Follows a page of docs/ as a reader would, in a copy of the checkout.

A code block whose first line is a comment with a path is a file: `python`, `yaml` and the like are written as they
stand, and `diff` is an edit of a file that exists. Blocks without a path are left to the test.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
COPIED = (
    "serve",
    "router",
    "docs",
    "tests/conftest.py",
    "tests/helpers.py",
    "tests/browser.py",
    "tests/fakes",
    "tests/serve/conftest.py",
)
LINKED = ("experts", "protos", "deploy", "loadtests", "pyproject.toml", "README.md", "CHANGELOG.md")

_BLOCK = re.compile(r"^```(\w+)\n# ([\w./-]+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def follow(page: str, checkout: Path) -> list[str]:
    """Do what a page of docs/ says in a new copy of the checkout; return the paths that it wrote or edited."""
    copy_checkout(checkout)
    return [*steps(page, checkout)]


def steps(page: str, checkout: Path) -> Iterator[str]:
    """Do what a page says in a copy, one block at a time; yield each path that was written or edited."""
    for language, path, body in _BLOCK.findall((ROOT / "docs" / page).read_text()):
        file = checkout / path
        if language == "diff":
            file.write_text(edited(file.read_text(), body))
        else:
            assert not file.exists(), f"{page} writes {path}, which is there already"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(body.lstrip("\n"))
        yield path


def edited(text: str, diff: str) -> str:
    """Apply a diff without line numbers; what it keeps and removes must stand exactly once in the text."""
    lines = diff.splitlines()
    before = "".join(f"{line[1:]}\n" for line in lines if line[:1] in {" ", "-"})
    after = "".join(f"{line[1:]}\n" for line in lines if line[:1] in {" ", "+"})
    assert text.count(before) == 1, f"found {text.count(before)} times:\n{before}"
    return text.replace(before, after)


def run(checkout: Path, *module_and_arguments: str) -> str:
    """Run a Python module in the copy; return what it printed."""
    environment = os.environ | {"PYTHONPATH": str(checkout), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", *module_and_arguments]
    done = subprocess.run(
        command, check=False, cwd=checkout, env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def copy_checkout(checkout: Path) -> None:
    """Copy what a page may change; link what it only needs."""
    for name in COPIED:
        source, target = ROOT / name, checkout / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__", "seeds"))
        else:
            shutil.copy(source, target)
    (checkout / "router" / "training" / "seeds").symlink_to(ROOT / "router" / "training" / "seeds")
    for name in LINKED:
        (checkout / name).symlink_to(ROOT / name)
    shutil.copy(ROOT / "tests" / "test_docs.py", checkout / "tests")
