"""What the router decides, and how sure it is."""

from typing import Final

from deploy.observe.panels import Dashboard, E, Panel, Query, heat, rate

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
            "Handed back",
            "Requests a second that an expert handed back because no tool fitted, and who was asked next",
            "cps",
            (Query(rate("moegate_hand_backs_total", "expert, to"), "{{expert}} to {{to}}"),),
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
            "Languages that came or went",
            "Share of the hour's requests in other languages than the day's; above 0.3 is a lot",
            "percentunit",
            (Query("moegate:languages_shifted:share", "shifted"),),
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
