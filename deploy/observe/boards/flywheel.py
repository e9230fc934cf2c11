"""What is kept for the flywheel, what people think of answers, and canaries beside whom they stand in for."""

from typing import Final

from deploy.observe.panels import Dashboard, Panel, Query, rate

_LOST: Final = 'outcome!="kept"'
_SHADOW: Final = 'cause="shadow"'

FLYWHEEL: Final = Dashboard(
    "moegate-flywheel",
    "moegate · Flywheel",
    "Interactions kept, ratings, and trials of canaries; all zero where nothing is kept and nobody is on trial",
    (
        Panel(
            "Interactions",
            "Answers a second that are kept, or lost: too many waited, the store failed, or a fault of ours",
            "cps",
            (Query(f"{rate('moegate_interactions_total', 'outcome')} or vector(0)", "{{outcome}}"),),
        ),
        Panel(
            "Share lost",
            "Of the answers that were to be kept",
            "percentunit",
            (
                Query(
                    f"({rate('moegate_interactions_total', where=_LOST)} / {rate('moegate_interactions_total')})"
                    " or vector(0)",
                    "lost",
                ),
            ),
        ),
        Panel(
            "Segments",
            "Compressed bytes written a second",
            "Bps",
            (Query(rate("moegate_interaction_bytes_total"), "bytes"),),
        ),
        Panel(
            "Masked in what is kept",
            "Personal data and credentials a second, by what they are",
            "cps",
            (Query(f"{rate('moegate_interaction_redactions_total', 'entity')} or vector(0)", "{{entity}}"),),
        ),
        Panel(
            "Ratings",
            "Ratings in the last day, by who answered",
            "short",
            (Query("sum by (expert, verdict) (increase(moegate_feedback_total[24h]))", "{{expert}} {{verdict}}"),),
        ),
        Panel(
            "Better experts",
            "Who should have answered, as people named them in the last day",
            "short",
            (Query("sum by (better) (increase(moegate_feedback_better_total[24h])) or vector(0)", "{{better}}"),),
        ),
        Panel(
            "Trials ended",
            "Canaries that were stopped in the last week because they were worse, and what gave them away",
            "short",
            (
                Query(
                    "sum by (canary, kind) (increase(moegate_trials_ended_total[7d])) or vector(0)",
                    "{{canary}} {{kind}}",
                ),
            ),
            kind="stat",
        ),
        Panel(
            "On trial",
            "Share of an expert's conversations that its candidate gets, or answers once more unseen (shadow)",
            "percentunit",
            (Query("max by (canary, kind) (moegate_trial_share) or vector(0)", "{{canary}} {{kind}}"),),
        ),
        Panel(
            "Unseen answers",
            "Of candidates, a second: whole, failed, or shed because users came first",
            "cps",
            (Query(f"{rate('moegate_shadows_total', 'canary, outcome')} or vector(0)", "{{canary}} {{outcome}}"),),
        ),
        Panel(
            "A router on trial",
            "Decisions a second that it made beside the one that serves, by both choices: two equal names agree",
            "cps",
            (
                Query(
                    f"{rate('moegate_router_shadows_total', 'expert, candidate')} or vector(0)",
                    "{{expert}}, {{candidate}}",
                ),
            ),
        ),
        Panel(
            "Unseen answers, USD an hour",
            "What they cost: the ledger's cause shadow",
            "currencyUSD",
            (
                Query(
                    f"{rate('moegate_wasted_cost_usd_total', 'expert', _SHADOW)} * 3600 or vector(0)",
                    "{{expert}}",
                ),
            ),
        ),
        Panel(
            "Generations",
            "Promotions and rollbacks in an expert's history, all in all",
            "short",
            (
                Query(
                    'max by (expert, event) (moegate_flywheel_changes{event=~"promoted|rolled back|ended"})'
                    " or vector(0)",
                    "{{expert}} {{event}}",
                ),
            ),
            kind="stat",
        ),
        Panel(
            "Failures by expert",
            "Share of each expert's requests that ended in an error: a canary has its own line",
            "percentunit",
            (
                Query(
                    'sum by (expert) (rate(moegate_requests_total{outcome!~"ok|cancelled"}[5m])) / '
                    "sum by (expert) (rate(moegate_requests_total[5m])) or vector(0)",
                    "{{expert}}",
                ),
            ),
        ),
    ),
)
