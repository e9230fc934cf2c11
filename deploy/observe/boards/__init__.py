"""The dashboards as data, one a file: every panel with its unit, a description and its queries."""

from typing import Final

from deploy.observe.boards.cost import COST
from deploy.observe.boards.experts import EXPERTS
from deploy.observe.boards.flywheel import FLYWHEEL
from deploy.observe.boards.guard import GUARD
from deploy.observe.boards.latency import LATENCY
from deploy.observe.boards.overview import OVERVIEW
from deploy.observe.boards.retrieval import RETRIEVAL
from deploy.observe.boards.routing import ROUTING

DASHBOARDS: Final = (OVERVIEW, LATENCY, COST, ROUTING, EXPERTS, GUARD, RETRIEVAL, FLYWHEEL)
