"""Kinds of others that the chart may make: Gateway API, Karpenter, cert-manager.

Their schemas lie in tests/deploy/schemas. Each file there says what it was written from. A field that it does not name
is a mistake.
"""

import functools
from pathlib import Path
from typing import Any

import jsonschema
import yaml

from tests.deploy.crd import strict

Document = dict[str, Any]
_FILES = [yaml.safe_load(file.read_text()) for file in sorted((Path(__file__).parent / "schemas").glob("*.yaml"))]
GROUPS = {file["group"] for file in _FILES}
KINDS = [
    (
        f"{file['group']}/{file['version']}",
        name,
        kind["plural"],
        tuple(kind.get("short", ())),
        not kind.get("is_cluster_wide"),
    )
    for file in _FILES
    for name, kind in file["kinds"].items()
]


def knows(document: Document) -> bool:
    """Whether there is a schema for it here."""
    return document["apiVersion"].partition("/")[0] in GROUPS


def errors(document: Document) -> list[str]:
    """What is wrong with an object."""
    found = jsonschema.Draft202012Validator(_schema(document["apiVersion"], document["kind"])).iter_errors(document)
    return [f"{'.'.join(map(str, error.absolute_path))}: {error.message[:200]}" for error in found]


@functools.cache
def _schema(api_version: str, name: str) -> Any:
    group = api_version.partition("/")[0]
    [file] = [one for one in _FILES if one["group"] == group]
    assert api_version == f"{group}/{file['version']}", api_version
    whole = {"apiVersion": {"type": "string"}, "kind": {"const": name}, "metadata": {"type": "object"}}
    properties = whole | {"spec": file["kinds"][name]["spec"], "status": {"type": "object"}}
    return strict({"type": "object", "required": ["spec"], "properties": properties})
