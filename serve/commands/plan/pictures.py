"""Pictures of a simulated day: requests inside and replicas over time, latency's distribution. Needs matplotlib."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from experts.commands.outputs import SIGNATURE, NotOurs, claim_all, signed_picture
from serve.commands.plan.description import PlanError
from serve.commands.plan.report import Result


def draw(results: list[Result], folder: Path) -> list[Path]:
    """Write one PNG a result; returns their paths.

    Raises:
        PlanError: matplotlib is not installed, or a file in the folder is not ours to replace.
    """
    try:
        from matplotlib.figure import Figure  # noqa: PLC0415  # an extra: nothing else in serving needs it
    except ImportError:
        raise PlanError("pictures need matplotlib: pip install matplotlib") from None
    results = [
        result for result in results if result.instances
    ]  # of what is bought by the token there is no day to draw
    paths = [folder / f"{result.title.replace(' ', '-')}.png" for result in results]
    try:
        claim_all(folder, {path.name: signed_picture for path in paths})
    except NotOurs as error:
        raise PlanError(str(error)) from None
    folder.mkdir(parents=True, exist_ok=True)
    for result, path in zip(results, paths, strict=True):
        figure = Figure(figsize=(11, 9), layout="constrained")
        _draw(result, figure.subplots(3, 1))
        figure.savefig(path, dpi=110, metadata=SIGNATURE)
    return paths


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
