"""The dashboards as data: five of them, every panel with its unit, a description and its queries.

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


BAD: Final = 'outcome=~"overloaded|deadline_exceeded|expert_unavailable|expert_failed|internal_error"'
E = 'expert=~"$expert"'

OVERVIEW: Final = Dashboard(
    "moegate-overview",
    "moegate · Overview",
    "Rate, errors and duration by door and expert; is anything wrong, and where",
    (
        Panel(
            "Requests",
            "Requests ended a second, by door",
            "reqps",
            (Query(rate("moegate_requests_total", "door", E), "{{door}}"),),
        ),
        Panel(
            "By expert",
            "Requests ended a second, by the expert that answered",
            "reqps",
            (Query(rate("moegate_requests_total", "expert", E), "{{expert}}"),),
        ),
        Panel(
            "Failures",
            "Share of requests that failed through no fault of the caller's",
            "percentunit",
            (Query(f"{rate('moegate_requests_total', '', BAD)} / {rate('moegate_requests_total')}", "failed"),),
        ),
        Panel(
            "Outcomes",
            "Requests ended a second, by outcome",
            "reqps",
            (Query(rate("moegate_requests_total", "outcome", E), "{{outcome}}"),),
        ),
        Panel(
            "Time to complete answer",
            "Receipt to complete answer",
            "s",
            quantiles("moegate_request_duration_seconds", E),
        ),
        Panel(
            "In flight",
            "Requests being answered, by expert; none = not yet routed",
            "short",
            (Query("sum by (expert) (moegate_requests_in_flight)", "{{expert}}"),),
        ),
        Panel(
            "Experts ready",
            "1 = the expert answers its probes",
            "short",
            (Query("min by (expert) (moegate_expert_ready)", "{{expert}}"),),
            kind="stat",
        ),
        Panel(
            "Waiting to be admitted",
            "Requests waiting for a permit",
            "short",
            (Query("sum(moegate_admission_waiting)", "waiting"),),
        ),
        Panel(
            "Moves to another expert",
            "Fallbacks a second before the first token, from and to",
            "cps",
            (Query(rate("moegate_fallbacks_total", "expert, to"), "{{expert}} to {{to}}"),),
        ),
        Panel(
            "Broken streams",
            "Answers a second that broke after their first token",
            "cps",
            (Query(rate("moegate_stream_errors_total", "expert, code"), "{{expert}} {{code}}"),),
        ),
        Panel(
            "What runs",
            "Version of moegate and of the router's artefact",
            "short",
            (Query("max by (version, router, python) (moegate_build_info)", "{{version}} router {{router}}"),),
            kind="stat",
        ),
        Panel(
            "Memory and CPU",
            "Resident memory of the gateway, and cores it keeps busy",
            "short",
            (
                Query("sum(process_resident_memory_bytes) / 1e9", "GB resident"),
                Query(f"sum(rate(process_cpu_seconds_total{R}))", "cores"),
            ),
        ),
    ),
)

LATENCY: Final = Dashboard(
    "moegate-latency",
    "moegate · Latency",
    "Where time goes, by the gateway's clock",
    (
        Panel(
            "Time to first token",
            "Receipt to first token, streams",
            "s",
            heat("moegate_time_to_first_token_seconds", f'mode="stream", {E}'),
            kind="heatmap",
        ),
        Panel(
            "Time to first token, percentiles",
            "Receipt to first token, streams and whole answers",
            "s",
            quantiles("moegate_time_to_first_token_seconds", E, "mode"),
        ),
        Panel(
            "Time to first token by expert",
            "95th percentile",
            "s",
            (p95("moegate_time_to_first_token_seconds", "expert", E),),
        ),
        Panel(
            "Between tokens",
            "Gap between messages of an answer over the tokens of the later one",
            "s",
            heat("moegate_inter_token_seconds", E),
            kind="heatmap",
        ),
        Panel("Between tokens, percentiles", "The same", "s", quantiles("moegate_inter_token_seconds", E)),
        Panel(
            "Per output token by expert",
            "(last - first) / (tokens - 1) of a request, 95th percentile",
            "s",
            (p95("moegate_time_per_output_token_seconds", "expert", E),),
        ),
        Panel(
            "Complete answer by expert",
            "Receipt to complete answer, 95th percentile",
            "s",
            (p95("moegate_request_duration_seconds", "expert", E),),
        ),
        Panel(
            "The gateway's own time",
            "Receipt to dispatch, the wait for a permit left out",
            "s",
            quantiles("moegate_gateway_overhead_seconds"),
        ),
        Panel("Deciding", "Time to decide", "s", quantiles("moegate_route_seconds")),
        Panel(
            "Wait for a permit",
            "Time from asking for a permit to having it",
            "s",
            quantiles("moegate_admission_wait_seconds"),
        ),
        Panel(
            "Event loop lag", "How late a timer of the event loop was", "s", quantiles("moegate_event_loop_lag_seconds")
        ),
        Panel(
            "Answer's speed",
            "Completion tokens a second, by expert",
            "short",
            (Query(rate("moegate_tokens_total", "expert", f'kind="completion", {E}'), "{{expert}}"),),
        ),
    ),
)

COST: Final = Dashboard(
    "moegate-cost",
    "moegate · Cost & savings",
    "What answers cost, what was wasted, what stood idle, what it would have cost elsewhere",
    (
        Panel(
            "Spent an hour",
            "USD an hour at the current rate, by expert",
            "currencyUSD",
            (Query(f"{rate('moegate_cost_usd_total', 'expert', E)} * 3600", "{{expert}}"),),
        ),
        Panel(
            "Spent, 24 h",
            "USD spent on answers in the last day, by basis of the price",
            "currencyUSD",
            (Query("sum by (basis) (increase(moegate_cost_usd_total[24h]))", "{{basis}}"),),
            kind="stat",
        ),
        Panel(
            "Saved since start",
            "Against what the same tokens would have cost there; below 0 it would be cheaper",
            "currencyUSD",
            (Query("sum by (baseline) (moegate_saved_usd)", "{{baseline}}"),),
            kind="stat",
        ),
        Panel(
            "Saved an hour",
            "USD an hour against each baseline",
            "currencyUSD",
            (
                Query(
                    f"(sum by (baseline) (rate(moegate_baseline_cost_usd_total{R})) - on () group_left () "
                    f"{rate('moegate_cost_usd_total')}) * 3600",
                    "{{baseline}}",
                ),
            ),
        ),
        Panel(
            "Wasted an hour",
            "USD an hour spent on nothing, by cause",
            "currencyUSD",
            (Query(f"{rate('moegate_wasted_cost_usd_total', 'cause', E)} * 3600", "{{cause}}"),),
        ),
        Panel(
            "Share wasted",
            "Of what was spent",
            "percentunit",
            (Query(f"{rate('moegate_wasted_cost_usd_total')} / {rate('moegate_cost_usd_total')}", "wasted"),),
        ),
        Panel(
            "Provisioned and idle an hour",
            "USD an hour that the fleet costs, and that no request used",
            "currencyUSD",
            (
                Query(f"{rate('moegate_provisioned_cost_usd_total')} * 3600", "provisioned"),
                Query(f"{rate('moegate_idle_cost_usd_total')} * 3600", "idle"),
            ),
        ),
        Panel(
            "Deciding costs",
            "USD an hour of the router's own compute",
            "currencyUSD",
            (Query(f"{rate('moegate_router_cost_usd_total')} * 3600", "router"),),
        ),
        Panel(
            "USD per million tokens",
            "Spent over tokens made, by expert",
            "currencyUSD",
            (
                Query(
                    f"1e6 * {rate('moegate_cost_usd_total', 'expert', E)} / "
                    f"{rate('moegate_tokens_total', 'expert', E)}",
                    "{{expert}}",
                ),
            ),
        ),
        Panel(
            "Tokens", "Tokens a second, by kind", "short", (Query(rate("moegate_tokens_total", "kind", E), "{{kind}}"),)
        ),
        Panel(
            "Power",
            "Watts of the machine time behind answers, by source of the figure",
            "watt",
            (Query(rate("moegate_energy_joules_total", "source", E), "{{source}}"),),
        ),
        Panel(
            "CO2 equivalent an hour",
            "Grams an hour, by source of the figure",
            "short",
            (Query(f"{rate('moegate_co2e_grams_total', 'source', E)} * 3600", "{{source}}"),),
        ),
    ),
)

ROUTING: Final = Dashboard(
    "moegate-routing",
    "moegate · Routing",
    "Does the router send requests where they belong, and is the traffic still what it was trained on",
    (
        Panel(
            "Who answers",
            "Share of decisions, by expert",
            "percentunit",
            (
                Query(
                    f"{rate('moegate_route_decisions_total', 'expert')} / on () group_left () "
                    f"{rate('moegate_route_decisions_total')}",
                    "{{expert}}",
                ),
            ),
        ),
        Panel(
            "Why",
            "Decisions a second, by reason",
            "cps",
            (Query(rate("moegate_route_decisions_total", "reason", E), "{{reason}}"),),
        ),
        Panel(
            "Abstention",
            "Share of the router's own decisions in which it was not sure",
            "percentunit",
            (Query("moegate:route_abstained:ratio_rate15m", "abstained"),),
        ),
        Panel(
            "Confidence",
            "Probability of the chosen expert, where the router chose",
            "percentunit",
            heat("moegate_route_confidence", E),
            kind="heatmap",
        ),
        Panel(
            "Drift",
            "Population stability index against the training rows; above 0.25 is a lot",
            "short",
            (Query("max(moegate_route_drift_psi)", "PSI"),),
        ),
        Panel(
            "Classes now and in training",
            "Share by expert that the words alone ask for",
            "percentunit",
            (
                Query(
                    f"{rate('moegate_route_classes_total', 'expert')} / on () group_left () "
                    f"{rate('moegate_route_classes_total')}",
                    "{{expert}} now",
                ),
                Query("max by (expert) (moegate_route_training_share)", "{{expert}} in training"),
            ),
        ),
        Panel(
            "Languages",
            "Requests a second, by language or script of the last user turn",
            "reqps",
            (Query(rate("moegate_route_languages_total", "language"), "{{language}}"),),
        ),
        Panel(
            "Conversations",
            "Later turns a second that stayed with their expert, or moved",
            "cps",
            (Query(rate("moegate_conversation_turns_total", "move"), "{{move}}"),),
        ),
        Panel(
            "Feedback",
            "Ratings in the last day, by expert and verdict",
            "short",
            (Query("sum by (expert, verdict) (increase(moegate_feedback_total[24h]))", "{{expert}} {{verdict}}"),),
            kind="bars",
        ),
        Panel(
            "Calibration",
            "Expected calibration error of rated decisions since start",
            "percentunit",
            (Query("max(moegate_calibration_ece)", "ECE"),),
        ),
        Panel(
            "Promised and kept",
            "Share of good ratings by tenth of confidence; bin 9 should be near 0.95",
            "percentunit",
            (
                Query(
                    'sum by (bin) (moegate_calibration_total{verdict="good"}) / sum by (bin) '
                    "(moegate_calibration_total)",
                    "{{bin}}",
                ),
            ),
            kind="bars",
        ),
        Panel(
            "Artefacts",
            "Replaced router artefacts in the last day, by what became of them",
            "short",
            (Query("sum by (outcome) (increase(moegate_router_reloads_total[24h]))", "{{outcome}}"),),
            kind="stat",
        ),
    ),
)

EXPERTS: Final = Dashboard(
    "moegate-experts",
    "moegate · Experts & engines",
    "Our view of the experts beside Ray Serve's and the Neuron monitor's own",
    (
        Panel("Sequences in the batch", "As the expert last said", "short",
              (Query(f"max by (expert) (moegate_expert_sequences_running{{{E}}})", "{{expert}}"),)),
        Panel("Sequences waiting", "As the expert last said", "short",
              (Query(f"max by (expert) (moegate_expert_sequences_waiting{{{E}}})", "{{expert}}"),)),
        Panel("Ready", "1 = the expert answers its probes", "short",
              (Query(f"min by (expert) (moegate_expert_ready{{{E}}})", "{{expert}}"),)),
        Panel("Tokens wasted", "Completion tokens a second of requests that were cancelled or failed", "short",
              (Query(rate("moegate_wasted_tokens_total", "expert", E), "{{expert}}"),)),
        Panel("Ray: replicas healthy", "Ray Serve's own health checks", "short",
              (Query("sum by (application) (ray_serve_deployment_replica_healthy)", "{{application}}"),), source="ray"),
        Panel("Ray: requests in replicas", "Ongoing requests that Ray Serve counts", "short",
              (Query("sum by (application) (ray_serve_replica_processing_queries)", "{{application}}"),), source="ray"),
        Panel("Ray: requests", "Requests a second that Ray Serve's deployments took", "reqps",
              (Query(rate("ray_serve_deployment_request_counter_total", "application"), "{{application}}"),),
              source="ray"),
        Panel("Ray: processing", "95th percentile; Ray Serve counts in milliseconds", "ms",
              (Query("histogram_quantile(0.95, sum by (le, application) "
                     f"(rate(ray_serve_deployment_processing_latency_ms_bucket{R})))", "{{application}}"),),
              source="ray"),
        Panel("Neuron: cores in use", "neuron-monitor: utilisation of each NeuronCore", "percentunit",
              (Query("avg by (neuroncore) (neuroncore_utilization_ratio)", "core {{neuroncore}}"),), source="neuron"),
        Panel("Neuron: device memory", "neuron-monitor: bytes in use by the runtime", "bytes",
              (Query('sum(neuron_runtime_memory_used_bytes{memory_location="neuron_device"})', "device"),),
              source="neuron"),
        Panel("Neuron: errors", "neuron-monitor: failed executions a second, by kind", "cps",
              (Query(f"sum by (error_type) (rate(execution_errors_total{R}))", "{{error_type}}"),), source="neuron"),
        Panel("Neuron: execution latency", "neuron-monitor: 99th percentile of an execution on the device", "s",
              (Query('max(execution_latency_seconds{percentile="p99"})', "p99"),), source="neuron"),
    ),
)  # fmt: skip

DASHBOARDS: Final = (OVERVIEW, LATENCY, COST, ROUTING, EXPERTS)
