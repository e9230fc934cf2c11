"""KubeRay's CustomResourceDefinition as a strict JSON schema, where it is at hand."""

import functools
import gzip
import os
from pathlib import Path
from typing import Any

import jsonschema
import yaml

_FOLDER = Path(os.environ.get("MOEGATE_SCHEMAS", Path(__file__).resolve().parents[3] / "shared" / "schemas"))
FILE = _FOLDER / "ray.io_rayservices.yaml.gz"


def errors(document: dict[str, Any]) -> list[str]:
    """What is wrong with a RayService; fields that the schema does not know are wrong."""
    found = jsonschema.Draft202012Validator(_schema(document["apiVersion"])).iter_errors(document)
    return [f"{'.'.join(map(str, error.absolute_path))}: {error.message[:200]}" for error in found]


@functools.cache
def _schema(api_version: str) -> Any:
    with gzip.open(FILE, "rt") as stream:
        definition = yaml.load(stream, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    group, _, version = api_version.partition("/")
    assert group == definition["spec"]["group"]
    [schema] = [v["schema"]["openAPIV3Schema"] for v in definition["spec"]["versions"] if v["name"] == version]
    return strict(schema)


def strict(schema: Any) -> Any:
    """Translate OpenAPI's dialect of Kubernetes: unknown fields are pruned there, here they are mistakes."""
    if isinstance(schema, list):
        return [strict(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    made = {key: strict(part) for key, part in schema.items() if not key.startswith("x-kubernetes")}
    if schema.get("x-kubernetes-int-or-string"):
        made.pop("anyOf", None)
        made["type"] = ["integer", "string"]
    is_open = schema.get("x-kubernetes-preserve-unknown-fields") or "additionalProperties" in schema
    if isinstance(schema.get("properties"), dict) and schema.get("type") == "object" and not is_open:
        made["additionalProperties"] = False
    if schema.get("properties", {}).get("name", {}).get("type") == "string" and "metadata" in schema:
        made.pop("additionalProperties", None)
    return made
