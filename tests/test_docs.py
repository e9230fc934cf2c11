"""The documents tell the truth: what they name exists, their tables are the code's."""

import re
from pathlib import Path

from prometheus_client import CollectorRegistry

from experts.conversation import request_limits
from serve.errors import MoegateError
from serve.telemetry.metrics import Metrics

ROOT = Path(__file__).parents[1]
ARCHITECTURE = (ROOT / "docs" / "architecture.md").read_text()


def rows(title: str) -> list[list[str]]:
    """The cells of the table under a heading."""
    section = ARCHITECTURE.split(f"\n## {title}\n")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")][2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_every_path_that_the_documents_name_exists() -> None:
    for document in (*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")):
        for path in re.findall(
            r"`((?:serve|router|experts|protos|deploy|loadtests|tests|docs)/[\w./-]*)`", document.read_text()
        ):
            assert (ROOT / path).exists(), f"{document.name} names {path}"
        for link in re.findall(r"\]\((?!http)([^)#]+)\)", document.read_text()):
            assert (document.parent / link).exists(), f"{document.name} links to {link}"


def test_the_error_table_is_the_error_tree() -> None:
    def tree(kind: type[MoegateError]) -> set[tuple[str, str, str]]:
        own = {(kind.code, str(kind.http_status), kind.grpc_status.name)}
        return own.union(*(tree(child) for child in kind.__subclasses__()))

    documented = {(code.strip("`"), http, grpc) for code, http, grpc, _ in rows("Errors")}
    assert documented == tree(MoegateError)


def test_the_metric_table_is_the_registry() -> None:
    registry = CollectorRegistry()
    Metrics(registry)
    suffix = {"counter": "_total"}
    actual = {family.name + suffix.get(family.type, ""): family.type for family in registry.collect()}
    documented: dict[str, str] = {}
    for names, kind, _, _ in rows("Metrics"):
        first, *others = re.findall(r"`(\w+)`", names)
        documented |= {name: kind for name in (first, *(first.rsplit("_", 1)[0] + other for other in others))}
    assert documented == actual


def test_the_table_of_bounds_is_the_codes() -> None:
    documented = {name.strip("`"): int(value) for name, value, _ in rows("Bounds")}
    actual = {name: value for name, value in vars(request_limits).items() if isinstance(value, int)}
    for name in ("BODY", "TEXT"):
        bounds = getattr(request_limits, name)
        actual |= {f"{name}.depth": bounds.depth, f"{name}.parts": bounds.parts}
    assert documented == actual | {"TEXT.size": request_limits.TEXT.size}
