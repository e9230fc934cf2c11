"""The picture of a selection: quality against cost, a panel for each expert and task.

`experts.select` draws it. Bars are 95 % intervals; filled points are the Pareto set; a point's area grows with the size
of the weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from experts.commands.outputs import SIGNATURE
from experts.evaluation.options import Option, pareto

_COLOUR = "#1f6f8b"


def draw(options: Sequence[Option], path: Path) -> None:
    """Write the picture as PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415  # the [train] extra's
    from matplotlib.figure import Figure  # noqa: PLC0415

    groups = [(group, list(members)) for group, members in groupby(options, key=lambda option: option.group)]
    figure = Figure(figsize=(4.8 * len(groups), 4.2), layout="constrained")
    FigureCanvasAgg(figure)
    best = pareto(options)
    panels = figure.subplots(1, len(groups), squeeze=False)[0]
    for axes, ((expert, suite, _), members) in zip(panels, groups, strict=True):
        axes.set_title(f"{expert}: {suite}")
        axes.set_xlabel("USD per 1,000 requests")
        axes.set_ylabel(f"{members[0].score} (95 % interval)")
        axes.set_ylim(0, 1.02)
        axes.grid(visible=True, alpha=0.3)
        for option in members:
            _point(axes, option, option in best)
        axes.margins(x=0.25)
    figure.savefig(path, dpi=120, metadata=SIGNATURE)


def _point(axes: Any, option: Option, is_best: bool) -> None:  # noqa: ANN401  # matplotlib ships no types we use
    spread = [[option.quality - option.low], [option.high - option.quality]]
    cost = option.usd_per_1000
    axes.errorbar([cost], [option.quality], yerr=spread, fmt="none", ecolor=_COLOUR, alpha=0.6, capsize=3)
    area = 40 + (option.size_mb or 0.0) / 2
    axes.scatter([cost], [option.quality], s=area, color=_COLOUR if is_best else "white", edgecolors=_COLOUR, zorder=3)
    axes.annotate(option.variant, (cost, option.quality), textcoords="offset points", xytext=(8, 4), fontsize=9)
