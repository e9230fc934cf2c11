"""The first dashboard to look at: rate, errors and duration by door and expert."""

from typing import Final

from deploy.observe.panels import BAD, JOB, Dashboard, E, Panel, Query, R, quantiles, rate

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
                Query(f"sum(process_resident_memory_bytes{{{JOB}}}) / 1e9", "GB resident"),
                Query(f"sum(rate(process_cpu_seconds_total{{{JOB}}}{R}))", "cores"),
            ),
        ),
    ),
)
