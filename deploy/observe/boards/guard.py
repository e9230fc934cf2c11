"""What the guard's rules find, and whether they can be carried out; all zero where no rules are set."""

from typing import Final

from deploy.observe.panels import Dashboard, Panel, Query, p95, quantiles, rate

_BLOCKED: Final = 'outcome="content_blocked"'

GUARD: Final = Dashboard(
    "moegate-guard",
    "moegate · Guard",
    "What the guard's rules find, what they do about it, and what they cost",
    (
        Panel(
            "Findings",
            "Findings a second, by rule and action",
            "cps",
            (
                Query(
                    f"{rate('moegate_guard_findings_total', 'rule, action')} or vector(0)",
                    "{{rule}} {{action}}",
                ),
            ),
        ),
        Panel(
            "Where they are",
            "Findings a second: in what comes in, in documents, in answers",
            "cps",
            (Query(f"{rate('moegate_guard_findings_total', 'stage')} or vector(0)", "{{stage}}"),),
        ),
        Panel(
            "Share blocked",
            "Requests that a rule has refused or ended, of all that ended",
            "percentunit",
            (
                Query(
                    f"({rate('moegate_requests_total', where=_BLOCKED)} or vector(0)) / "
                    f"{rate('moegate_requests_total')}",
                    "blocked",
                ),
            ),
        ),
        Panel(
            "Share blocked, by rule",
            "Requests and answers that each rule has blocked, of all requests that ended",
            "percentunit",
            (
                Query(
                    f"({rate('moegate_guard_blocked_total', 'rule')} or vector(0)) / "
                    f"scalar({rate('moegate_requests_total')})",
                    "{{rule}}",
                ),
            ),
        ),
        Panel(
            "Passed unseen",
            "Texts in the last day that a rule should have seen and could not, and that its `fail: open` let pass",
            "short",
            (
                Query(
                    'sum by (rule) (increase(moegate_guard_failures_total{fail="open"}[24h])) or vector(0)',
                    "{{rule}}",
                ),
            ),
            kind="stat",
        ),
        Panel(
            "Rules that fail",
            "Times a second that a rule could not be carried out: open let the text pass, closed blocked it",
            "cps",
            (Query(f"{rate('moegate_guard_failures_total', 'rule, fail')} or vector(0)", "{{rule}} {{fail}}"),),
        ),
        Panel(
            "Time to look at a request",
            "Before it is routed",
            "s",
            quantiles("moegate_guard_seconds"),
        ),
        Panel(
            "Time to ask a service",
            "About one text, by rule; calls without a verdict included",
            "s",
            (p95("moegate_guard_call_seconds", "rule"),),
        ),
        Panel(
            "Held back for long enough",
            "Times a second that text of an answer went on before a rule had done with it",
            "cps",
            (Query(f"{rate('moegate_guard_bounds_total', 'bound')} or vector(0)", "{{bound}}"),),
        ),
        Panel(
            "Files of rules",
            "Changed files in the last day, by what became of them",
            "short",
            (
                Query(
                    'sum by (outcome) (increase(moegate_configuration_reloads_total{configuration="guard"}[24h]))'
                    " or vector(0)",
                    "{{outcome}}",
                ),
            ),
            kind="stat",
        ),
    ),
)
