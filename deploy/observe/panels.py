"""What a dashboard is made of, and the shapes of query that panels share; `deploy.observe.boards` holds all of them.

`deploy.observe.grafana` turns them into Grafana's JSON; `deploy.observe.check` runs every query against a Prometheus. A
panel's `source` says whose metrics it shows: ours, Ray Serve's, or the Neuron monitor's, which not everybody scrapes.
"""

from dataclasses import dataclass
from typing import Final, Literal

Kind = Literal["line", "stat", "heatmap", "bars"]
Source = Literal["moegate", "ray", "neuron"]

R: Final = "[$__rate_interval]"


@dataclass(frozen=True, slots=True)
class Query:
    """A PromQL expression and its legend."""

    expr: str
    legend: str = ""


@dataclass(frozen=True, slots=True)
class Panel:
    """One panel; `unit` is Grafana's name of it."""

    title: str
    description: str
    unit: str
    queries: tuple[Query, ...]
    kind: Kind = "line"
    source: Source = "moegate"


@dataclass(frozen=True, slots=True)
class Dashboard:
    """One dashboard; its uid is its file's name."""

    uid: str
    title: str
    description: str
    panels: tuple[Panel, ...]


def rate(metric: str, by: str = "", where: str = "") -> str:
    """A counter's rate per second, summed."""
    inner = f"rate({metric}{{{where}}}{R})"
    return f"sum by ({by}) ({inner})" if by else f"sum({inner})"


def quantiles(metric: str, where: str = "", by: str = "") -> tuple[Query, ...]:
    """The median, the 95th and the 99th percentile of a histogram."""
    labels = f"le, {by}" if by else "le"
    legend = f"{{{{{by}}}}} " if by else ""
    inner = f"sum by ({labels}) (rate({metric}_bucket{{{where}}}{R}))"
    return tuple(Query(f"histogram_quantile({q}, {inner})", f"{legend}p{round(q * 100)}") for q in (0.5, 0.95, 0.99))


def p95(metric: str, by: str, where: str = "") -> Query:
    """The 95th percentile by a label."""
    return Query(f"histogram_quantile(0.95, sum by (le, {by}) (rate({metric}_bucket{{{where}}}{R})))", f"{{{{{by}}}}}")


def heat(metric: str, where: str = "") -> tuple[Query, ...]:
    """The buckets of a histogram over time."""
    return (Query(f"sum by (le) (rate({metric}_bucket{{{where}}}{R}))", "{{le}}"),)


JOB: Final = 'job=~"moegate(-gateway)?"'
"""The gateways: in `deploy/prometheus/prometheus.yml`, and in a cluster, where the job is the Service's name."""

BAD: Final = 'outcome=~"overloaded|deadline_exceeded|expert_unavailable|expert_failed|internal_error"'
E = 'expert=~"$expert"'
