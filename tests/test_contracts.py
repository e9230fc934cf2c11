"""What docs/architecture.md says of imports is what import-linter holds."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
CONTRACTS: list[dict[str, Any]] = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"][
    "contracts"
]
ARCHITECTURE = (ROOT / "docs" / "architecture.md").read_text()
SECTION = ARCHITECTURE.partition("## What may import what")[2].partition("\n## ")[0]


def contract(name: str) -> dict[str, Any]:
    [found] = [one for one in CONTRACTS if one["name"] == name]
    return found


@pytest.mark.parametrize("package", ["serve", "router", "experts"])
def test_the_layers_on_the_page_are_the_contracts(package: str) -> None:
    shown = re.search(rf"Inside `{package}`.*?```\n(.*?)\n```", SECTION, re.DOTALL)
    assert shown is not None
    assert shown[1].splitlines() == contract(f"inside {package}")["layers"]


@pytest.mark.parametrize("package", ["serve", "router", "experts"])
def test_every_module_and_folder_has_a_layer(package: str) -> None:
    """import-linter's `exhaustive` fails on a room without a layer; this says that the option is set."""
    assert contract(f"inside {package}")["exhaustive"] is True


def test_what_the_gateway_may_see_of_the_experts_is_what_the_page_says() -> None:
    line = SECTION.partition("Of `experts`, the gateway sees ")[2].partition(":")[0]
    said = set(re.findall(r"`(experts\.\w+)`", line))
    rooms = {
        f"experts.{path.stem}"
        for path in (ROOT / "experts").iterdir()
        if (path.suffix == ".py" and path.stem != "__init__") or (path / "__init__.py").exists()
    }
    assert rooms - set(contract("what the gateway sees of the experts")["forbidden_modules"]) == said


def test_ray_is_imported_where_the_page_says() -> None:
    line = re.search(r"Only (.*?) import Ray", SECTION)
    assert line is not None
    said = set(re.findall(r"`(experts\.\w+)`", line[1]))
    imports = re.compile(r"^\s*(?:import ray\b|from ray\b)", re.MULTILINE)
    found = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts[:2])
        for package in ("serve", "router", "experts")
        for path in (ROOT / package).rglob("*.py")
        if imports.search(path.read_text())
    }
    assert found == said
