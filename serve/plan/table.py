"""A plan's results as a table within 80 columns: each fleet's total first, its experts below."""

from __future__ import annotations

from rich.table import Table

from serve.plan.report import Latency, Result

_COLUMNS = (
    "replicas\nmean/most", "inst.\nmean", "TTFT s\np50", "\np99", "ITL ms\np50", "\np99", "SLO\nmissed", "USD\n/h",
    "USD/1M\nout", "\nidle",
)  # fmt: skip


def table(results: list[Result]) -> Table:
    """Lay results side by side."""
    made = Table("", box=None, padding=(0, 1, 0, 0), pad_edge=False)
    made.columns[0].no_wrap = True
    for title in _COLUMNS:
        made.add_column(title, justify="right", no_wrap=True)
    for result in results:
        price = "-" if result.usd_per_million is None else f"{result.usd_per_million:.2f}"
        instances = f"{sum(result.instances.values()):.1f}"
        money = (f"{result.usd_per_hour:.2f}", price, f"{result.idle:.0%}")
        made.add_row(f"[bold]{result.title}[/]", "", instances, *_cells(result.latency["all"]), *money)
        for name, held in result.held.items():
            replicas = (f"{held.replicas:.1f}/{held.most}", f"{held.instances:.1f}")
            made.add_row(name, *replicas, *_cells(result.latency[name]), "", "", f"{held.idle:.0%}")
    return made


def _cells(latency: Latency) -> tuple[str, ...]:
    seconds = (f"{latency.ttft_p50:.2f}", f"{latency.ttft_p99:.2f}")
    return (*seconds, f"{latency.itl_p50 * 1e3:.0f}", f"{latency.itl_p99 * 1e3:.0f}", f"{latency.missed_share:.1%}")
