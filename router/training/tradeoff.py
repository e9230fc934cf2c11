"""Quality against cost on labelled rows, for every position of the knob; `calibrate` fits it and `evaluate` draws it.

The choices are the policy's own, computed for all rows at once (a test holds the two together). Cost is at the given
prices; quality is whether the chosen expert is among the row's labels.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from router.errors import CalibrationError, DatasetError
from router.features.tokens import estimate_tokens
from router.model.gate import Gate
from router.policy.cost_knob import PRICE_ALONE, SETTINGS, Knob
from router.policy.objective import PROMPT_SCALE, QUALITY_DIGITS, ExpertState, expected_completion_tokens, usd_of
from router.training.dataset import Row, source_weights
from router.training.heads import Doubles

DRAWS = 1_000
HIGHEST = 1e4  # λ beyond this changes nothing that a price could tell apart
WINDOW = 1 << 30

Ints = np.ndarray[Any, np.dtype[np.int64]]
Bools = np.ndarray[Any, np.dtype[np.bool_]]


@dataclass(frozen=True, slots=True)
class Prices:
    """USD per million tokens of one expert."""

    prompt: float
    completion: float


CHEAP, DEAR = Prices(1.0, 1.0), Prices(4.0, 4.0)


def reference_prices(experts: Sequence[str], default: str) -> dict[str, Prices]:
    """Price experts as the shipped table and the report's curve assume where no prices are given.

    The default expert asks a quarter of what the others ask: equal prices have no curve.
    """
    return {name: CHEAP if name == default else DEAR for name in experts}


@dataclass(frozen=True, slots=True)
class Field:
    """Labelled rows as the policy sees them, n rows by E experts.

    Attributes:
        quality: rounded probabilities (n, E).
        usd: what each expert would cost, USD (n, E).
        right: whether it is an acceptable answer (n, E).
        fixed: the expert of a row on which the gate abstains, else -1 (n,).
        unit_usd: the price of the knob's reference answer.
        weight: how much a row counts in what is asked of all of them, (n,).
    """

    quality: Doubles
    usd: Doubles
    right: Bools
    fixed: Ints
    unit_usd: float
    weight: Doubles

    def choose(self, price_of_cost: float) -> Ints:
        """Return the chosen expert of each row, (n,), for one λ."""
        extra = (self.usd - self.usd.min(axis=1, keepdims=True)) / self.unit_usd if self.unit_usd else 0.0 * self.usd
        worth = np.where(self.quality > 0, self.quality - price_of_cost * extra, -np.inf)
        worth = np.where((self.quality > 0).any(axis=1, keepdims=True), worth, -price_of_cost * extra)
        best = worth >= worth.max(axis=1, keepdims=True)
        cheapest = np.where(best, self.usd, np.inf).argmin(axis=1)
        return np.where(self.fixed >= 0, self.fixed, cheapest)

    def part(self, at: Ints) -> "Field":
        """Return some of the rows."""
        return Field(self.quality[at], self.usd[at], self.right[at], self.fixed[at], self.unit_usd, self.weight[at])

    def weighed(self, groups: Sequence[str]) -> "Field":
        """Return the same rows (n), every group of them counting the same."""
        return replace(self, weight=source_weights(groups))

    def outcome(self, price_of_cost: float) -> tuple[Doubles, Doubles]:
        """Return each row's cost in USD and whether it was right, times its weight, (n,) each."""
        chosen = self.choose(price_of_cost)
        at = np.arange(len(chosen))
        return self.usd[at, chosen] * self.weight, self.right[at, chosen] * self.weight

    def usd_at(self, price_of_cost: float) -> float:
        """Return what all rows cost together, USD."""
        return float(self.outcome(price_of_cost)[0].sum())


def read_prices(path: Path) -> dict[str, Prices]:
    """Read `{expert: {"prompt": USD, "completion": USD}}` per million tokens.

    Raises:
        DatasetError: the file is not of that form.
    """
    try:
        return {
            str(name): Prices(float(entry["prompt"]), float(entry["completion"]))
            for name, entry in json.loads(path.read_text(encoding="utf-8")).items()
        }
    except (OSError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise DatasetError(f"{path.name}: prices are {{expert: {{prompt, completion}}}}") from error


def states_of(experts: Sequence[str], prices: Mapping[str, Prices]) -> list[ExpertState]:
    """Make idle, healthy experts of those prices.

    Raises:
        CalibrationError: an expert has no price.
    """
    missing = sorted(set(experts) - set(prices))
    if missing:
        raise CalibrationError(f"no price for {', '.join(missing)}")
    return [ExpertState(name, WINDOW, True, 0, 1, prices[name].completion, prices[name].prompt) for name in experts]


def field_of(gate: Gate, rows: Sequence[Row], states: Sequence[ExpertState], knob: Knob, abstain_below: float) -> Field:
    """Let the gate see every row once."""
    names = [state.name for state in states]
    found = [gate.by_expert(row.query) for row in rows]
    raw = np.array([[one.get(name, 0.0) for name in names] for one in found])
    usd = np.empty_like(raw)
    for at, (row, one) in enumerate(zip(rows, found, strict=True)):
        prompt = estimate_tokens(turn.text for turn in row.query.turns) * PROMPT_SCALE
        completion = expected_completion_tokens(one, states)
        usd[at] = [usd_of(state, prompt, completion) for state in states]
    default = names.index(gate.artifact.default_expert)
    return Field(
        np.vectorize(lambda value: round(value, QUALITY_DIGITS))(raw) if len(raw) else raw,
        usd,
        np.array([[name in row.labels for name in names] for row in rows], dtype=np.bool_),
        np.where(raw.max(axis=1) < abstain_below, default, -1),
        max(usd_of(state, knob.prompt_tokens, knob.completion_tokens) for state in states),
        np.ones(len(rows)),
    )


def fit_table(field: Field) -> tuple[float, ...]:
    """Find λ by position: position k gives up the share k of the saving between quality alone and price alone.

    Cost falls in steps as λ rises, so each λ is found by bisection; the table never falls. Its end is price alone, at
    other prices than the field's as well.
    """
    first, last = field.usd_at(0.0), field.usd_at(HIGHEST)
    table = [0.0]
    for at in range(1, SETTINGS - 1):
        wanted = first - (first - last) * at / (SETTINGS - 1)
        table.append(max(table[-1], _bisect(field, wanted, table[-1])))
    return (*table, max(table[-1], PRICE_ALONE))


def _bisect(field: Field, wanted_usd: float, low: float) -> float:
    """Return the smallest λ >= `low`, to nine digits, that costs no more than `wanted_usd`."""
    high = max(2.0 * low, 0.01)
    while high < HIGHEST and field.usd_at(high) > wanted_usd * (1 + 1e-12):
        low, high = high, 2.0 * high
    for _ in range(40):
        middle = (low + high) / 2
        if field.usd_at(middle) > wanted_usd * (1 + 1e-12):
            low = middle
        else:
            high = middle
    return high


@dataclass(frozen=True, slots=True)
class Curve:
    """Cost and quality by position, as shares of those at position 0, with 95 % bootstrap intervals over rows.

    Attributes:
        positions: of the knob, (K,).
        prices_of_cost: λ, (K,).
        cost: (K,).
        cost_ci: (K, 2).
        quality: (K,).
        quality_ci: (K, 2).
    """

    positions: Doubles
    prices_of_cost: Doubles
    cost: Doubles
    cost_ci: Doubles
    quality: Doubles
    quality_ci: Doubles

    @property
    def is_monotone(self) -> bool:
        """Cost falls at every step, and no step gains quality by more than its interval is wide."""
        widths = (self.quality_ci[:, 1] - self.quality_ci[:, 0]) / 2
        return bool((np.diff(self.cost) <= 1e-9).all() and (np.diff(self.quality) <= widths[1:] + 1e-9).all())


def curve_of(field: Field, knob: Knob, seed: int) -> Curve:
    """Measure every position of a knob on labelled rows."""
    positions = np.linspace(0.0, 1.0, SETTINGS)
    rates = np.array([knob.price_of_cost(at) for at in positions])
    outcomes = [field.outcome(rate) for rate in rates]
    usd, right = np.array([one[0] for one in outcomes]), np.array([one[1] for one in outcomes])  # (K, n) each
    n = usd.shape[1]
    counts = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), size=DRAWS)  # (DRAWS, n)
    bands = []
    for values in (usd, right):
        drawn = counts @ values.T
        shares = drawn / np.maximum(drawn[:, :1], 1e-12)
        bands.append(np.percentile(shares, [2.5, 97.5], axis=0).T)
    means = [values.sum(axis=1) / max(float(values[0].sum()), 1e-12) for values in (usd, right)]
    return Curve(positions, rates, means[0], bands[0], means[1], bands[1])


def position_for(field: Field, knob: Knob, *, target_cost: float | None, target_quality: float | None) -> float:
    """Return the knob's position for a target share of the cost, or of the quality, that it has at 0.

    For cost the first position that is cheap enough, for quality the last of the settings that keeps it.

    Raises:
        CalibrationError: the cheapest choice still costs more, or not even quality alone keeps the target.
    """
    if target_cost is not None:
        first, last = field.usd_at(0.0), field.usd_at(HIGHEST)
        if last > target_cost * first * (1 + 1e-9):
            raise CalibrationError(
                f"the cheapest choice costs {last / first:.3f} of quality's; asked for {target_cost:g}"
            )
        return knob.position_of(_bisect(field, target_cost * first, 0.0)) if target_cost < 1.0 else 0.0
    target = 1.0 if target_quality is None else target_quality
    rights = [float(field.outcome(knob.price_of_cost(at))[1].sum()) for at in np.linspace(0.0, 1.0, SETTINGS)]
    holds = [at for at, right in enumerate(rights) if right >= target * rights[0] - 1e-9]
    if not holds:
        raise CalibrationError(f"no setting keeps the share {target:g} of quality")
    return holds[-1] / (SETTINGS - 1)
