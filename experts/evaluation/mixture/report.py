"""What is written of a comparison: a table for people (Markdown), and everything as data (JSON)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from experts.evaluation.mixture.comparison import AUTO, Line, ratio_to_oracle
from experts.evaluation.suites.scores import Score

TITLE = "# The mixture against the one"


def as_markdown(lines: Sequence[Line], rows: int, is_shared: bool) -> str:
    """Return the tables; `is_shared`: other work ran beside, so that times say little."""
    kinds = list(lines[0].kinds)
    ratio = ratio_to_oracle(lines)
    said = f"{rows} rows of {len(kinds)} kinds, asked of every model through a gateway, greedily."
    if ratio is not None:
        said += f" `auto` reaches {ratio:.3f} of the oracle."
    first = "TTFT p50 / p90 ms" + (" (shared machine)" if is_shared else "")
    return "\n".join(
        (
            f"{TITLE}\n\n{said}\n",
            _row("model", "quality (95 %)", "`auto` - it, paired (95 %)", "USD / 1,000", first, "answered by"),
            "|" + "---|" * 6,
            *(_row(*_cells(line)) for line in lines),
            "\nRight answers by kind:\n",
            _row("model", *kinds),
            "|" + "---|" * (len(kinds) + 1),
            *(_row(_name(line), *(_interval(line.kinds[kind]) for kind in kinds)) for line in lines),
            "",
        )
    )


def as_json(lines: Sequence[Line], rows: int, is_shared: bool) -> dict[str, Any]:
    """Return the same as data."""
    return {
        "mixture": [_fields(line) for line in lines],
        "rows": rows,
        "of_oracle": ratio_to_oracle(lines),
        "shared_machine": is_shared,
    }


def _fields(line: Line) -> dict[str, Any]:
    return {
        "model": line.model,
        "quality": line.quality.as_dict(),
        "kinds": {kind: score.as_dict() for kind, score in line.kinds.items()},
        "auto_gain": line.gain.as_dict() if line.gain else None,
        "usd_per_1000": round(line.usd_per_1000, 6),
        "ttft_ms": {"p50": line.ttft_p50_ms, "p90": line.ttft_p90_ms},
        "experts": line.experts,
    }


def _cells(line: Line) -> tuple[str, ...]:
    gain = "-" if line.gain is None else f"{_interval(line.gain, '+')}{_verdict(line.gain)}"
    times = "-" if line.ttft_p50_ms is None else f"{line.ttft_p50_ms:.0f} / {line.ttft_p90_ms:.0f}"
    by = ", ".join(f"{name} {share:.2f}" for name, share in sorted(line.experts.items(), key=lambda one: -one[1]))
    return _name(line), _interval(line.quality), gain, f"{line.usd_per_1000:.4f}", times, by


def _verdict(gain: Score) -> str:
    """Say whether the difference is there with 95 % confidence."""
    if gain.low > 0:
        return ", better"
    return ", worse" if gain.high < 0 else ""


def _name(line: Line) -> str:
    return f"**{line.model}**" if line.model == AUTO else line.model


def _interval(score: Score, sign: str = "") -> str:
    return f"{score.value:{sign}.3f} ({score.low:{sign}.3f} to {score.high:{sign}.3f})"


def _row(*cells: str) -> str:
    return "| " + " | ".join(cells) + " |"
