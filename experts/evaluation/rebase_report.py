"""Old base and new side by side: what `experts.rebase` writes once both have answered the same rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from experts.evaluation.options import Option

TITLE = "# Another base"
OLD, NEW = "old", "new"
COLUMNS = ("expert", "rows", "n", "old (95 %)", "new (95 %)", "new - old", "USD / 1,000 old", "new", "MB old", "new")


def as_markdown(base: str, options: Sequence[Option]) -> str:
    """Return a row for each expert and file of rows; variants are `old` and `new`."""
    lines = [f"{TITLE}: {base}\n", "| " + " | ".join(COLUMNS) + " |", "|" + "---|" * len(COLUMNS)]
    for group in dict.fromkeys(option.group for option in options):
        sides = {option.variant: option for option in options if option.group == group}
        if NEW in sides:
            lines.append("| " + " | ".join(_cells(sides.get(OLD), sides[NEW])) + " |")
    lines.append(
        "\nAnswers are greedy, through the artefact and engine that serve. USD: the catalogue's price of the measured "
        "tokens; prices of the old base stand for the new one until they are measured anew. `apart`: the intervals "
        "do not overlap."
    )
    return "\n".join(lines) + "\n"


def as_json(base: str, options: Sequence[Option]) -> dict[str, Any]:
    """Return the same as data."""
    return {"base": base, "rebased": [asdict(option) for option in options]}


def _cells(old: Option | None, new: Option) -> tuple[str, ...]:
    return (
        f"`{new.expert}`",
        f"{new.suite} ({new.score}), {new.data}",
        str(new.n),
        _quality(old) if old else "-",
        _quality(new),
        _difference(old, new) if old else "-",
        f"{old.usd_per_1000:.4f}" if old else "-",
        f"{new.usd_per_1000:.4f}",
        _size(old),
        _size(new),
    )


def _quality(option: Option) -> str:
    return f"{option.quality:.3f} ({option.low:.3f} to {option.high:.3f})"


def _difference(old: Option, new: Option) -> str:
    is_apart = new.low > old.high or new.high < old.low
    return f"{new.quality - old.quality:+.3f}{', apart' if is_apart else ', overlap'}"


def _size(option: Option | None) -> str:
    return "-" if option is None or option.size_mb is None else f"{option.size_mb:.0f}"
