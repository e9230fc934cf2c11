"""Choose a model by measurement: `python -m experts.select --results DIR|FILE... --out DIR`.

Reads what `python -m experts.evaluate --out FILE` wrote, and compares the variants of each expert on the axes of AWS's
guide to choosing a foundation model: quality on its own task, cost, latency, context window, licence, size. Writes
`selection.md`, `selection.json` and `selection.png`, with the Pareto set marked.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from itertools import groupby
from pathlib import Path
from typing import Any

from rich.console import Console

from experts.catalog.spec import Catalog, CatalogError, load_catalog
from experts.commands.messages import complain
from experts.commands.outputs import IsOurs, NotOurs, claim_all, json_with, signed_picture, text_with, write
from experts.evaluation.options import Option, ResultError, lift, pareto, read_option

COLUMNS = ("variant", "quality (95 %)", "n", "over base", "USD / 1,000", "TTFT ms", "tok/s", "context", "licence", "MB")

TITLE = "# Which model for which expert"
OUTPUTS: dict[str, IsOurs] = {
    "selection.md": text_with(TITLE),
    "selection.json": json_with("options"),
    "selection.png": signed_picture,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the selection; return the exit status."""
    options = _parse(arguments)
    console = Console()
    try:
        claim_all(options.out, OUTPUTS if not options.no_picture else dict(list(OUTPUTS.items())[:2]))
        catalog = load_catalog(options.catalog)
        found = read_options(options.results, catalog)
        if options.timings:
            found = with_timings(found, read_options(options.timings, catalog))
        write(options.out / "selection.md", as_markdown(found))
        write(options.out / "selection.json", json.dumps(as_json(found), indent=1) + "\n")
        if not options.no_picture:
            from experts.evaluation.options_figure import draw  # noqa: PLC0415  # needs matplotlib

            draw(found, options.out / "selection.png")
    except (ResultError, CatalogError, NotOurs, OSError) as error:
        complain(error)
        return 1
    except ImportError as error:
        complain(f"{error.name} is missing; the picture needs it: pip install matplotlib, or say --no-picture")
        return 1
    console.print(as_markdown(found), markup=False, highlight=False, soft_wrap=True)
    if options.json:
        print(json.dumps(as_json(found)))
    return 0


def read_options(paths: Sequence[Path], catalog: Catalog) -> list[Option]:
    """Read every result under the paths; of two runs of the same option the newer file counts.

    Raises:
        ResultError: there is none, or one cannot be read.
    """
    files = [file for path in paths for file in (path.rglob("*.json") if path.is_dir() else [path])]
    kept: dict[tuple[Any, ...], Option] = {}
    for file in sorted(files, key=lambda file: file.stat().st_mtime_ns):
        result = _read(file)
        if result is not None:
            spec = catalog.get(str(result["expert"]))
            if spec is None:
                raise ResultError(f"{file}: no such expert in the catalogue: {result['expert']}")
            option = read_option(result, spec, str(file))
            kept[(*option.group, option.variant)] = option
    if not kept:
        raise ResultError("there are no results; write them with python -m experts.evaluate ... --out FILE")
    return sorted(kept.values(), key=lambda option: (*option.group, option.quality))


def with_timings(options: Sequence[Option], timed: Sequence[Option]) -> list[Option]:
    """Take time to first token and pace from other runs of the same variants, where there are any."""
    paces = {(other.expert, other.suite, other.variant): other for other in timed if other.ttft_ms is not None}
    return [
        replace(option, ttft_ms=pace.ttft_ms, tokens_per_s=pace.tokens_per_s)
        if (pace := paces.get((option.expert, option.suite, option.variant)))
        else option
        for option in options
    ]


def _read(file: Path) -> dict[str, Any] | None:
    """Read a file; None where it is some other JSON that lies there."""
    try:
        content = json.loads(file.read_text("utf-8"))
    except ValueError as error:
        raise ResultError(f"{file}: not JSON: {error}") from None
    return content if isinstance(content, dict) and {"expert", "suite", "scores"} <= set(content) else None


def as_markdown(options: Sequence[Option]) -> str:
    """Return a table for each expert and task; the Pareto set is in bold."""
    best = pareto(options)
    parts = [f"{TITLE}\n"]
    for (expert, suite, data), group in groupby(options, key=lambda option: option.group):
        lines = list(group)
        parts.append(f"\n## {expert}: {suite} ({lines[0].score}), {data}\n")
        parts.append("| " + " | ".join(COLUMNS) + " |\n|" + "---|" * len(COLUMNS))
        parts += [_line(option, options, option in best) for option in lines]
    parts.append(
        "\nBold: no other variant is at least as good in quality, cost and time to first token, and better in one of "
        "them. Cost: the catalogue's price of the tokens that a request of this task took, in the mean. Time to first "
        "token and tokens per second: one sequence alone, median, on the machine that evaluated; a dash: not measured."
    )
    return "\n".join(parts) + "\n"


def _line(option: Option, options: Sequence[Option], is_best: bool) -> str:
    over = lift(option, options)
    cells = (
        f"**{option.variant}**" if is_best else option.variant,
        f"{option.quality:.3f} ({option.low:.3f} to {option.high:.3f})",
        str(option.n),
        f"{over[0]:+.3f}{', apart' if over[1] else ', overlap'}" if over else "-",
        f"{option.usd_per_1000:.4f}",
        _number(option.ttft_ms),
        _number(option.tokens_per_s),
        str(option.context_window),
        option.licence,
        _number(option.size_mb),
    )
    return "| " + " | ".join(cells) + " |"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"


def as_json(options: Sequence[Option]) -> dict[str, Any]:
    """Return everything as data."""
    best = pareto(options)
    return {"options": [asdict(option) | {"pareto": option in best} for option in options]}


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m experts.select", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--results", type=Path, nargs="+", required=True, help="result files, or folders of them")
    parser.add_argument(
        "--timings", type=Path, nargs="+", metavar="FILE", help="results whose speed counts: fewer rows, nothing beside"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="where the report goes")
    parser.add_argument("--catalog", type=Path, help="the catalogue (default: the shipped one)")
    parser.add_argument("--no-picture", action="store_true", help="no PNG (which needs matplotlib)")
    parser.add_argument("--json", action="store_true", help="print one JSON line last")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
