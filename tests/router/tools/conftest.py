"""A small catalogue of tools that anybody can tell apart."""

import pytest

from router.tools.index import ToolIndex, ToolText, build_index

CATALOGUE = {
    "get_weather": ("Forecast for a city", {"city": {"type": "string"}, "unit": {"enum": ["celsius", "fahrenheit"]}}),
    "bookFlight": ("Book a plane ticket", {"origin": {"type": "string"}, "date": {"format": "date"}}),
    "send_email": ("Send a message to a person", {"address": {"format": "email"}}),
    "convert_currency": ("Convert an amount of money", {"amount": {"type": "number"}, "to": {"type": "string"}}),
    "play_music": ("Play songs of an artist", {"artist": {"type": "string"}}),
    "lock_door": ("Lock or unlock a door of the house", {"room": {"enum": ["kitchen", "garage"]}}),
}


@pytest.fixture(scope="session")
def tools() -> list[ToolText]:
    return [
        ToolText(name, about, {"type": "object", "properties": properties, "required": list(properties)})
        for name, (about, properties) in CATALOGUE.items()
    ]


@pytest.fixture(scope="session")
def index(tools: list[ToolText]) -> ToolIndex:
    return build_index(tools)
