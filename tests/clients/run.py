"""Runs real clients against a gateway whose experts are actors, and writes the table of docs/clients.md.

`python -m tests.clients.run` (`make test-clients`) starts the gateway on a free port, then every script beside this
file: `with_*.py` in the environment of `tests/clients/requirements.txt`, or in one of its own where
`tests/clients/apart/NAME.txt` says what it needs; `with_*.mjs` with Node where that is installed. A script is one
client (`tests.clients.harness`). The exit status is 1 if anything failed; `--write` puts the outcome into
docs/clients.md, `--only NAME` runs one script.
"""

import argparse
import asyncio
import json
import os
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import yaml

from serve.app import App
from serve.settings.tree import load_settings
from tests.clients.actor import WINDOW, Actors
from tests.clients.harness import COLUMNS

ROOT = Path(__file__).resolve().parents[2]
APART = Path(__file__).parent / "apart"
ENVIRONMENT = ROOT / ".venv-clients"
PAGE = ROOT / "docs" / "clients.md"
BEGIN, END = "<!-- the table: make test-clients -->\n", "<!-- end of the table -->\n"
NAMES = ("researcher", "coder", "advisor", "tool-caller", "generalist")
_ENTRY: dict[str, Any] = {
    "description": "plays a part",
    "base": "some/where",
    "engine": "echo",
    "context_window": WINDOW,
    "licence": "Apache-2.0",
    "price": {"usd_per_million": {"prompt": 1.0, "completion": 2.0}},
}

Result = dict[str, Any]
"""What a script has printed: `client`, `version`, and `results`, by column null or what went wrong."""


@asynccontextmanager
async def gateway(folder: Path) -> AsyncIterator[str]:
    """Serve a gateway and its experts; yields its address."""
    actors = Actors(*NAMES)
    await actors.start()
    catalog = folder / "experts.yaml"
    entries = [{"name": name, **_ENTRY} for name in NAMES]
    catalog.write_text(yaml.safe_dump({"default": "generalist", "experts": entries}))
    settings = {
        "http": {"port": 0},
        "grpc": {"port": 0},
        "experts": {"catalog": catalog, "target": actors.target},
        "feedback": {"path": folder / "feedback.sqlite3"},
        "responses": {"path": folder / "responses.sqlite3"},
        "shutdown_grace_s": 0.2,
    }
    app = App(load_settings(overrides=settings))
    await app.start()
    try:
        yield f"http://{app.http_address}"
    finally:
        await app.stop()
        await actors.stop()


def scripts(only: str | None) -> list[Path]:
    """The scripts to run, in the order of their names."""
    found = sorted(path for path in Path(__file__).parent.glob("with_*") if path.suffix in (".py", ".mjs"))
    return [path for path in found if only is None or path.stem == f"with_{only}"]


def command(script: Path, python: Path) -> list[str] | None:
    """How a script is run; None where what it needs is not installed."""
    if script.suffix == ".py":
        name = script.stem.removeprefix("with_")
        if (APART / f"{name}.txt").exists():
            python = ENVIRONMENT / "apart" / name / "bin" / "python"
        return [str(python), "-m", f"tests.clients.{script.stem}"]
    node = shutil.which("node")
    return None if node is None else [node, str(script)]


async def run(script: Sequence[str], url: str) -> Result:
    """Run one script; one that ends without a result has failed altogether."""
    process = await asyncio.create_subprocess_exec(
        *(*script, url),
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, errors = await process.communicate()
    try:
        result: Result = json.loads(output.decode().splitlines()[-1])
    except (IndexError, ValueError):
        result = {"client": Path(script[-1]).stem, "version": "", "results": {"chat": errors.decode()[-600:]}}
    if any(result["results"].values()):
        print(errors.decode()[-6000:], file=sys.stderr)
    return result


def table(results: Sequence[Result]) -> str:
    """The outcomes in Markdown: ✓ where it went well, ✗ where not, a dash where the client has no such thing."""

    def cell(result: Result, column: str) -> str:
        if column not in result["results"]:
            return "–"
        return "✓" if result["results"][column] is None else "✗"

    lines = ["| client | version |" + "".join(f" {column} |" for column in COLUMNS)]
    lines.append("|---" * (len(COLUMNS) + 2) + "|")
    for result in results:
        cells = "".join(f" {cell(result, column)} |" for column in COLUMNS)
        lines.append(f"| {result['client']} | {result['version']} |{cells}")
    return "\n".join(lines) + "\n"


def written(page: str, new: str) -> str:
    """Put a table into the page, between its two marks."""
    before, _, rest = page.partition(BEGIN)
    return before + BEGIN + "\n" + new + "\n" + END + rest.partition(END)[2]


async def main() -> int:
    """Run the command; returns its exit status."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--python", type=Path, default=ENVIRONMENT / "bin" / "python")
    parser.add_argument("--only", help="one script: the name behind with_")
    parser.add_argument("--write", action="store_true", help="put the table into docs/clients.md")
    arguments = parser.parse_args()
    results = []
    with tempfile.TemporaryDirectory() as folder:
        async with gateway(Path(folder)) as url:
            for script in scripts(arguments.only):
                how = command(script, arguments.python)
                if how is None:
                    print(f"{script.name}: node is not installed, left out", file=sys.stderr)
                    continue
                results.append(await run(how, url))
    print(table(results))
    failures = [(r["client"], column, why) for r in results for column, why in r["results"].items() if why]
    for client, column, why in failures:
        print(f"✗ {client}, {column}: {why}")
    if arguments.write:
        PAGE.write_text(written(PAGE.read_text(), table(results)))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
