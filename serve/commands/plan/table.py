"""A plan's results as tables within 80 columns: each fleet with its experts, and the alternatives to decide among."""

from __future__ import annotations

from math import isnan

from rich.table import Table

from serve.commands.plan.report import Latency, Result

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
        instances = f"{sum(result.instances.values()):.1f}" if result.instances else "-"
        money = (f"{result.usd_per_hour:.2f}", price, _known(result.idle, ".0%"))
        made.add_row(f"[bold]{result.title}[/]", "", instances, *_cells(result.latency["all"]), *money)
        for name, held in result.held.items():
            replicas = (f"{held.replicas:.1f}/{held.most}", f"{held.instances:.1f}")
            made.add_row(name, *replicas, *_cells(result.latency[name]), "", "", f"{held.idle:.0%}")
    return made


def decision(results: list[Result]) -> Table:
    """Lay the alternatives side by side: what each costs, how fast and how good it is; `-` is what nobody measured."""
    made = Table("", box=None, padding=(0, 2, 0, 0), pad_edge=False)
    for title in ("USD\n/h", "of the\nexperts'", "TTFT s\np50", "\np99", "SLO\nmissed", "quality\nmeasured"):
        made.add_column(title, justify="right", no_wrap=True)
    mine = results[0].usd_per_hour
    for result in results:
        all_of_them = result.latency["all"]
        money = (f"{result.usd_per_hour:.2f}", f"{result.usd_per_hour / mine:.2f} x" if mine else "-")
        seconds = (_known(all_of_them.ttft_p50, ".2f"), _known(all_of_them.ttft_p99, ".2f"))
        missed = "-" if isnan(all_of_them.ttft_p99) else f"{all_of_them.missed_share:.1%}"
        made.add_row(f"[bold]{result.title}[/]", *money, *seconds, missed, _quality(result))
    return made


def _quality(result: Result) -> str:
    if result.quality is None:
        return "-"
    low, high = result.quality.ci95 or (None, None)
    return f"{result.quality.score:.3f}" + ("" if low is None else f" ({low:.3f}-{high:.3f})")


def _known(value: float, form: str) -> str:
    return "-" if isnan(value) else format(value, form)


def _cells(latency: Latency) -> tuple[str, ...]:
    shown = [_known(value, ".2f") for value in (latency.ttft_p50, latency.ttft_p99)]
    shown += [_known(value * 1e3, ".0f") for value in (latency.itl_p50, latency.itl_p99)]
    return (*shown, "-" if isnan(latency.ttft_p99) else f"{latency.missed_share:.1%}")
