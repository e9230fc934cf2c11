"""Pictures of a simulated day: requests and replicas over time, latency; what else could answer. Needs matplotlib."""

from __future__ import annotations

from math import isnan, nan
from pathlib import Path
from typing import Any, Final

import numpy as np

from experts.commands.outputs import SIGNATURE, NotOurs, claim_all, signed_picture
from serve.commands.plan.description import PlanError
from serve.commands.plan.report import Result

ALTERNATIVES: Final = "alternatives.png"  # all of them beside each other


def draw(results: list[Result], folder: Path) -> list[Path]:
    """Write one PNG a result; returns their paths.

    Raises:
        PlanError: matplotlib is not installed, or a file in the folder is not ours to replace.
    """
    try:
        from matplotlib.figure import Figure  # noqa: PLC0415  # an extra: nothing else in serving needs it
    except ImportError:
        raise PlanError("pictures need matplotlib: pip install matplotlib") from None
    compared = results if len(results) > 1 else []
    results = [
        result for result in results if result.instances
    ]  # of what is bought by the token there is no day to draw
    paths = [folder / f"{result.title.replace(' ', '-')}.png" for result in results]
    beside = [folder / ALTERNATIVES] * bool(compared)
    try:
        claim_all(folder, {path.name: signed_picture for path in (*paths, *beside)})
    except NotOurs as error:
        raise PlanError(str(error)) from None
    folder.mkdir(parents=True, exist_ok=True)
    for result, path in zip(results, paths, strict=True):
        figure = Figure(figsize=(11, 9), layout="constrained")
        _draw(result, figure.subplots(3, 1))
        figure.savefig(path, dpi=110, metadata=SIGNATURE)
    for path in beside:
        figure = Figure(figsize=(11, 1.5 + 0.6 * len(compared)), layout="constrained")
        _lay_beside(compared, figure.subplots(1, 3, sharey=True))
        figure.savefig(path, dpi=110, metadata=SIGNATURE)
    return [*paths, *beside]


def _lay_beside(results: list[Result], axes: Any) -> None:  # noqa: ANN401  # matplotlib is optional
    """Draw what each alternative costs, how soon it answers, how good its answers are; name what nobody measured."""
    names = [result.title for result in results]
    latencies = [result.latency["all"] for result in results]
    scores = [nan if result.quality is None else result.quality.score for result in results]
    none = [nan] * len(results)
    columns: tuple[tuple[str, list[float], list[float]], ...] = (
        ("USD an hour", [result.usd_per_hour for result in results], none),
        ("time to first token, s: p50, p99", [one.ttft_p50 for one in latencies], [one.ttft_p99 for one in latencies]),
        ("quality, as measured", scores, none),
    )
    for axis, (title, values, further) in zip(axes, columns, strict=True):
        shown = [0.0 if isnan(value) else value for value in values]
        axis.barh(names, shown, color="lightsteelblue", height=0.55)
        for at, (value, more) in enumerate(zip(values, further, strict=True)):
            words = " nobody has measured it" if isnan(value) else f" {value:.2f}"
            axis.text(0, at, words, va="center", color="grey" if isnan(value) else "black")
            if not isnan(more):
                axis.plot([more], [at], "|", color="black", markersize=14)
        axis.set_title(title, fontsize="medium")
        axis.set_xlim(left=0)
    for at, result in enumerate(results):
        if result.quality is not None and result.quality.ci95 is not None:
            axes[2].plot(result.quality.ci95, [at, at], color="black")
    axes[0].invert_yaxis()  # the experts first


def _draw(result: Result, axes: Any) -> None:  # noqa: ANN401  # matplotlib is optional
    hours = np.array([time for time, _, _ in result.outcome.history]) / 3600
    for index, name in enumerate(result.plan.experts):
        axes[0].plot(hours, [ongoing[index] for _, _, ongoing in result.outcome.history], label=name, linewidth=0.8)
        axes[1].step(hours, [replicas[index] for _, replicas, _ in result.outcome.history], label=name, where="post")
    axes[0].set_ylabel("requests inside")
    axes[1].set_ylabel("replicas")
    axes[1].set_xlabel("hour")
    axes[0].legend()
    ttft = np.array(result.outcome.first_s) - result.requests.at_s
    ttft = np.sort(ttft[np.isfinite(ttft)])
    axes[2].semilogx(np.maximum(ttft, 1e-3), np.linspace(0, 1, len(ttft)))
    axes[2].axvline(result.plan.targets.ttft_s, linestyle=":", color="grey")
    axes[2].set_xlabel("time to first token, s")
    axes[2].set_ylabel("share of requests")
    axes[0].set_title(f"{result.title}: {result.usd_per_hour:.2f} USD/h, {result.idle:.0%} idle")
