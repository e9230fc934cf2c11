"""Where time goes: to the first token, between tokens, in the gateway itself."""

from typing import Final

from deploy.observe.panels import Dashboard, E, Panel, Query, heat, p95, quantiles, rate

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
            "Wait inside an expert",
            "Wait for a slot of the expert's batch, by the replica's clock, 95th percentile",
            "s",
            (p95("moegate_expert_queue_seconds", "expert", E),),
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
