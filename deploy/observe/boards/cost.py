"""Where money goes: spent, wasted, idle, saved."""

from typing import Final

from deploy.observe.panels import Dashboard, E, Panel, Query, R, rate

_NO_SHADOW: Final = 'cause!="shadow"'

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
            "Of what was spent; candidates' unseen answers (shadow) are left out",
            "percentunit",
            (
                Query(
                    f"{rate('moegate_wasted_cost_usd_total', where=_NO_SHADOW)} / {rate('moegate_cost_usd_total')}",
                    "wasted",
                ),
            ),
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
