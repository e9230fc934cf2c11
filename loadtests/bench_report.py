"""The results of `loadtests.bench` as a table for people and as a picture."""

import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from rich.console import Console
from rich.table import Table

from experts.commands.outputs import SIGNATURE


class Measured(Protocol):
    """What is told of one contestant at one kind of request; see `bench.Result`."""

    contestant: str
    kind: str
    cpu_us: list[float]
    per_s: list[float]
    rss_mb: float
    latencies: dict[str, dict[str, float]]
    failures: int


def tell(results: Sequence[Measured], console: Console) -> None:
    """Print one table for each kind of request."""
    for kind in dict.fromkeys(result.kind for result in results):
        same = [result for result in results if result.kind == kind]
        own = statistics.median(same[0].cpu_us)
        table = Table(
            "", "CPU us", "x moegate", "range", "requests/s", "RSS MB", "first p50/p99 ms at 30/60/90 %", "bad"
        )
        for result in same:
            cpu_us = statistics.median(result.cpu_us)
            firsts = (
                f"{at.get('first_p50_ms', 0):.1f}/{at.get('first_p99_ms', 0):.1f}" for at in result.latencies.values()
            )
            table.add_row(
                result.contestant,
                f"{cpu_us:,.0f}",
                f"{cpu_us / own:.2f}",
                f"{min(result.cpu_us):,.0f}-{max(result.cpu_us):,.0f}",
                f"{statistics.median(result.per_s):,.0f}",
                f"{result.rss_mb:.0f}",
                "\n".join(f"{share} {first}" for share, first in zip(result.latencies, firsts, strict=True)),
                str(result.failures),
            )
        table.title = f"{kind}: medians of {len(same[0].cpu_us)} rounds, in turns"
        console.print(table)


def draw(results: Sequence[Measured], path: Path) -> None:
    """Draw the CPU per request of each contestant, one panel for each kind, logarithmic."""
    import matplotlib  # noqa: PLC0415  # only the picture needs it

    matplotlib.use("Agg")
    from matplotlib import pyplot  # noqa: PLC0415

    kinds = list(dict.fromkeys(result.kind for result in results))
    figure, axes = pyplot.subplots(1, len(kinds), figsize=(4.5 * len(kinds), 3.5), squeeze=False)
    for axis, kind in zip(axes[0], kinds, strict=True):
        same = [result for result in results if result.kind == kind]
        medians = [statistics.median(result.cpu_us) for result in same]
        bars = axis.barh([result.contestant for result in same], medians, color="#4477aa")
        axis.bar_label(bars, [f"{median:,.0f}" for median in medians], padding=3, fontsize=8)
        axis.set(xscale="log", title=kind, xlabel="gateway CPU per request, microseconds")
        axis.margins(x=0.25)
        axis.invert_yaxis()
    figure.tight_layout()
    figure.savefig(path, dpi=150, metadata=SIGNATURE)
    pyplot.close(figure)
