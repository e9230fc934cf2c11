"""Writes the dashboards as Grafana's JSON: `python -m deploy.observe.grafana` (`--check`: are the files up to date?).

Uses grafana-foundation-sdk, a development dependency; the JSON is committed, so that nobody needs it to run Grafana.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from grafana_foundation_sdk.builders import bargauge, common, heatmap, prometheus, stat, timeseries
from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import DataSourceRef, GridPos

from deploy.observe.boards import DASHBOARDS
from deploy.observe.panels import Dashboard, Panel, Query
from experts.commands.messages import complain
from experts.commands.outputs import IsOurs, NotOurs, claim, write

FOLDER: Final = Path(__file__).parents[1] / "grafana" / "dashboards"
_SOURCE: Final = DataSourceRef(type_val="prometheus", uid="${datasource}")
_BUILDERS: Final = {"line": timeseries.Panel, "stat": stat.Panel, "heatmap": heatmap.Panel, "bars": bargauge.Panel}
_COLUMNS, _WIDTH, _HEIGHT = 3, 8, 8


def grafana_json(board: Dashboard) -> str:
    """One dashboard's file."""
    built = (
        builders.Dashboard(board.title)
        .uid(board.uid)
        .description(board.description)
        .tags(["moegate"])
        .refresh("10s")
        .time("now-1h", "now")
        .timezone("browser")
        .tooltip(common_cursor())
        .with_variable(builders.DatasourceVariable("datasource").label("Prometheus").type("prometheus"))
        .with_variable(_expert_variable())
        .annotation(_changes())
    )
    for i, panel in enumerate(board.panels):
        built = built.with_panel(_panel(panel, i))
    return JSONEncoder(sort_keys=True, indent=2).encode(built.build()) + "\n"


def _changes() -> builders.AnnotationQuery:
    """Marks where the flywheel put a candidate on trial, gave it another share, promoted it or took it back."""
    expr = "sum by (expert, event) (changes(max by (expert, event) (moegate_flywheel_changes)[1m:15s])) > 0"
    return builders.AnnotationQuery().name("Flywheel").datasource(_SOURCE).expr(expr).enable(True).icon_color("purple")


def common_cursor() -> Any:
    """One cursor over all panels of a dashboard."""
    from grafana_foundation_sdk.models.dashboard import DashboardCursorSync  # noqa: PLC0415

    return DashboardCursorSync.CROSSHAIR


def _expert_variable() -> builders.QueryVariable:
    return (
        builders.QueryVariable("expert")
        .label("Expert")
        .datasource(_SOURCE)
        .query("label_values(moegate_expert_ready, expert)")
        .include_all(True)
        .multi(True)
        .all_value(".*")
        .current({"selected": True, "text": ["All"], "value": ["$__all"]})
    )


def _panel(panel: Panel, place: int) -> Any:
    row, column = divmod(place, _COLUMNS)
    built = (
        _BUILDERS[panel.kind]()
        .title(panel.title)
        .description(panel.description)
        .unit(panel.unit)
        .datasource(_SOURCE)
        .id(place + 1)
        .grid_pos(GridPos(h=_HEIGHT, w=_WIDTH, x=column * _WIDTH, y=row * _HEIGHT))
    )
    for i, query in enumerate(panel.queries):
        built = built.with_target(_target(panel, query, i))
    if panel.kind == "line":
        built = built.fill_opacity(10).legend(common.VizLegendOptions().show_legend(True))
    return built


def _target(panel: Panel, query: Query, place: int) -> prometheus.Dataquery:
    target = prometheus.Dataquery().expr(query.expr).legend_format(query.legend).ref_id(chr(ord("A") + place))
    if panel.kind == "heatmap":
        from grafana_foundation_sdk.models.prometheus import PromQueryFormat  # noqa: PLC0415

        return target.format(PromQueryFormat.HEATMAP)
    return target.exemplar(panel.kind == "line" and "_bucket" in query.expr)


def _write(files: dict[Path, str]) -> int:
    try:
        for path in files:
            claim(path, _is_board(path.stem))
        for path, text in files.items():
            write(path, text)
    except (NotOurs, OSError) as error:
        complain(error)
        return 1
    return 0


def _is_board(uid: str) -> IsOurs:
    """Recognise an earlier dashboard of this uid."""
    return lambda path: json.loads(path.read_text()).get("uid") == uid


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the dashboards, or check that the files are what would be written."""
    parser = argparse.ArgumentParser(prog="python -m deploy.observe.grafana", description=main.__doc__)
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args(arguments)
    files = {FOLDER / f"{board.uid}.json": grafana_json(board) for board in DASHBOARDS}
    stale = [path.name for path, text in files.items() if not path.is_file() or path.read_text() != text]
    if not options.check:
        return _write(files)
    if stale:
        print(f"stale: {', '.join(stale)}; run make dashboards", file=sys.stderr)
    return bool(stale)


if __name__ == "__main__":
    raise SystemExit(main())
