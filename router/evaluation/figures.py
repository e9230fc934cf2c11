"""Diagrams: reliability, confusion, risk over coverage, and cost over quality.

`evaluate --report DIR` writes them as PNG. Only this module imports matplotlib, and only for a report; it comes with
the extras `train` and `dev`.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from router.commands.outputs import SIGNATURE, write
from router.evaluation.outcomes import OURS, TierScores
from router.training.calibration import ECE_BINS, Bools, expected_calibration_error
from router.training.heads import Doubles
from router.training.tradeoff import Curve

if TYPE_CHECKING:
    from matplotlib.axes import Axes

DPI = 100
INK, ACCENT, FAINT = "#1f2933", "#2563eb", "#c3cfd9"


@dataclass(frozen=True, slots=True)
class Judged:
    """Routed rows beside their labels, n of them.

    Attributes:
        chosen: who was chosen.
        labels: every acceptable expert, the best first.
        confidence: the best expert's probability, whoever was chosen, (n,).
        right: the best expert was acceptable, (n,).
    """

    chosen: tuple[str, ...]
    labels: tuple[tuple[str, ...], ...]
    confidence: Doubles
    right: Bools


def write_report(judged: Judged, curve: Curve | None, prices: str, folder: Path) -> list[Path]:
    """Draw labelled rows; the cost-quality curve only where there is one. Returns the files."""
    folder.mkdir(parents=True, exist_ok=True)
    files = [
        _drawn(folder / "reliability.png", lambda axes: _reliability(axes, judged)),
        _drawn(folder / "confusion.png", lambda axes: _confusion(axes, judged)),
        _drawn(folder / "risk_coverage.png", lambda axes: _risk_coverage(axes, judged)),
    ]
    if curve is not None:
        files.append(_drawn(folder / "cost_quality.png", lambda axes: _cost_quality(axes, curve, prices)))
    return files


def write_outcomes(scores: TierScores, folder: Path) -> list[Path]:
    """Draw the recovered gap over strong calls, and write every figure as JSON. Returns the files."""
    folder.mkdir(parents=True, exist_ok=True)
    table = folder / "outcomes.json"
    write(table, json.dumps(scores.full(), indent=1) + "\n")
    return [_drawn(folder / "outcomes.png", lambda axes: _recovered(axes, scores)), table]


def reliability_bins(confidence: Doubles, right: Bools) -> list[tuple[float, float, int]]:
    """Return (mean confidence, share right, rows) of each bin of confidence that holds any."""
    bins = np.minimum((confidence * ECE_BINS).astype(int), ECE_BINS - 1)
    return [
        (float(confidence[bins == at].mean()), float(right[bins == at].mean()), int((bins == at).sum()))
        for at in range(ECE_BINS)
        if (bins == at).any()
    ]


def risk_by_coverage(confidence: Doubles, right: Bools) -> tuple[Doubles, Doubles]:
    """Return coverage and risk when the surest rows are answered first, (n,) each."""
    order = np.argsort(-confidence, kind="stable")
    answered = np.arange(1, len(order) + 1)
    return answered / len(order), np.cumsum(~right[order]) / answered


def confusion_matrix(judged: Judged, names: Sequence[str]) -> Doubles:
    """Return the share of each best label's rows (down) that went to each expert (across), (E, E).

    A row that went to any of its acceptable experts counts as its best label's own.
    """
    place = {name: at for at, name in enumerate(names)}
    counts = np.zeros((len(names), len(names)))
    for chosen, labels in zip(judged.chosen, judged.labels, strict=True):
        counts[place[labels[0]], place[labels[0] if chosen in labels else chosen]] += 1
    return np.asarray(counts / np.maximum(counts.sum(axis=1, keepdims=True), 1.0))


def _drawn(path: Path, draw: Callable[["Axes"], None]) -> Path:
    """Make one diagram and write it, without a display."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415 - only for reports
    from matplotlib.figure import Figure  # noqa: PLC0415 - only for reports

    figure = Figure(figsize=(6.4, 4.8), dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    draw(axes)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    figure.savefig(path, pil_kwargs={"optimize": True}, metadata=SIGNATURE)
    return path


def _reliability(axes: "Axes", judged: Judged) -> None:
    """Confidence against accuracy; the area of a point is its rows."""
    bins = reliability_bins(judged.confidence, judged.right)
    largest = max(count for _, _, count in bins)
    means, shares = [mean for mean, _, _ in bins], [share for _, share, _ in bins]
    axes.plot([0, 1], [0, 1], color=FAINT, linestyle="--", label="as good as it says")
    axes.bar(
        means, [0.25 * count / largest for _, _, count in bins], 0.03, color=FAINT, alpha=0.6, label="how many rows"
    )
    axes.errorbar(
        means,
        shares,
        yerr=_wilson(shares, [count for _, _, count in bins]),
        color=ACCENT,
        marker="o",
        capsize=2,
        label="how good it is, 95 % interval",
    )
    error = expected_calibration_error(judged.confidence, judged.right)
    axes.set(
        xlim=(0, 1),
        ylim=(0, 1.05),
        xlabel="confidence: probability of the best expert",
        ylabel="share of rows for which it is right",
        title=f"Reliability: ECE {error:.3f} on {len(judged.right)} rows",
    )
    axes.legend(loc="upper left", frameon=False)


def _wilson(shares: Sequence[float], counts: Sequence[int]) -> Doubles:
    """Return how far the 95 % interval of each share reaches down and up, (2, n) (Wilson 1927)."""
    share, count, z = np.array(shares), np.array(counts), 1.96
    middle = (share + z**2 / (2 * count)) / (1 + z**2 / count)
    half = z * np.sqrt(share * (1 - share) / count + z**2 / (4 * count**2)) / (1 + z**2 / count)
    return np.asarray(np.maximum([share - (middle - half), middle + half - share], 0.0), dtype=np.float64)


def _confusion(axes: "Axes", judged: Judged) -> None:
    """Who should have answered, and who did."""
    names = sorted({label for labels in judged.labels for label in labels} | set(judged.chosen))
    shares = confusion_matrix(judged, names)
    axes.imshow(shares, cmap="Blues", vmin=0.0, vmax=1.0)
    for down, across in np.ndindex(*shares.shape):
        colour = "white" if shares[down, across] > 0.6 else INK
        axes.text(across, down, f"{shares[down, across]:.2f}", ha="center", va="center", color=colour)
    axes.set_xticks(range(len(names)), names, rotation=30, ha="right")
    rows = [sum(labels[0] == name for labels in judged.labels) for name in names]
    axes.set_yticks(range(len(names)), [f"{name}\n{count} rows" for name, count in zip(names, rows, strict=True)])
    axes.set(xlabel="chosen", ylabel="best label", title=f"Who is taken for whom ({len(judged.chosen)} rows)")


def _risk_coverage(axes: "Axes", judged: Judged) -> None:
    """What abstaining from the unsure rows buys."""
    coverage, risk = risk_by_coverage(judged.confidence, judged.right)
    at80 = risk[max(0, int(0.8 * len(risk)) - 1)]
    axes.plot(coverage, risk, color=ACCENT)
    axes.plot([0, 0.8, 0.8], [at80, at80, 0], color=FAINT, linestyle="--")
    axes.plot(0.8, at80, color=ACCENT, marker="o")
    axes.annotate(f"{at80:.3f} of 80 %", (0.8, at80), (-8, 8), textcoords="offset points", ha="right")
    axes.set(
        xlim=(0, 1.0),
        ylim=(0, None),
        xlabel="coverage: share of rows answered, the surest first",
        ylabel="risk: share of them that goes wrong",
        title=f"Risk and coverage: accuracy {1 - at80:.3f} at 80 % coverage, {1 - risk[-1]:.3f} at 100 %",
    )


def _cost_quality(axes: "Axes", curve: Curve, prices: str) -> None:
    """The knob's 21 settings."""
    reach = [
        np.clip([value - band[:, 0], band[:, 1] - value], 0.0, None)
        for value, band in ((curve.cost, curve.cost_ci), (curve.quality, curve.quality_ci))
    ]
    axes.errorbar(
        curve.cost,
        curve.quality,
        xerr=reach[0],
        yerr=reach[1],
        color=ACCENT,
        marker="o",
        markersize=4,
        capsize=2,
        label="the knob's 21 settings, on rows it was not fitted on",
    )
    axes.plot([curve.cost[-1], 1.0], [curve.quality[-1], 1.0], color=FAINT, linestyle="--", label="mixing the two ends")
    for at in (0, 10, 20):
        axes.annotate(
            f"{curve.positions[at]:.1f}", (curve.cost[at], curve.quality[at]), (6, -12), textcoords="offset points"
        )
    axes.set(
        xlabel="cost, share of quality alone",
        ylabel="quality, share of quality alone",
        title=f"The knob from 0 (quality) to 1 (price)\nprices: {prices}",
    )
    axes.legend(loc="lower right", frameon=False)


def _recovered(axes: "Axes", scores: TierScores) -> None:
    """The gap recovered by this predictor, beside random."""
    axes.plot(scores.curve.cost, scores.curve.pgr, color=ACCENT, label="this predictor")
    axes.plot([0, 1], [0, 1], color=FAINT, linestyle="--", label="random")
    figure = scores.by_calls[OURS][0]
    axes.set(
        xlim=(0, 1),
        xlabel="share of calls to the strong model",
        ylabel="performance gap recovered",
        title=f"{scores.title}: APGR {figure}, {scores.n} prompts",
    )
    axes.title.set_fontsize(10)
    axes.legend(loc="lower right", frameon=False)
