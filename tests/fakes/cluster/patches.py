"""The three patches that clients send: JSON patch, JSON merge patch, Kubernetes' strategic merge patch.

The last merges lists by the keys that Kubernetes' schemas publish:
https://github.com/kubernetes/community/blob/master/contributors/devel/sig-api-machinery/strategic-merge-patch.md.
"""

import copy
from typing import Any

from tests.fakes.cluster.kinds import definitions

Document = dict[str, Any]


def json_patch(document: Document, operations: list[Document]) -> Document:
    """RFC 6902, the operations that kubectl uses: add, replace, remove, test."""
    made = copy.deepcopy(document)
    for operation in operations:
        *path, last = [part.replace("~1", "/").replace("~0", "~") for part in operation["path"].split("/")[1:]]
        place: Any = made
        for part in path:
            place = place[int(part)] if isinstance(place, list) else place[part]
        match operation["op"]:
            case "add" | "replace" if isinstance(place, dict):
                place[last] = operation["value"]
            case "add" if isinstance(place, list):
                place.insert(len(place) if last == "-" else int(last), operation["value"])
            case "remove":
                place.pop(int(last) if isinstance(place, list) else last)
            case other:
                raise NotImplementedError(other)
    return made


def merge_patch(document: Any, patch: Any) -> Any:
    """RFC 7386."""
    if not isinstance(patch, dict):
        return patch
    made = dict(document) if isinstance(document, dict) else {}
    for key, value in patch.items():
        if value is None:
            made.pop(key, None)
        else:
            made[key] = merge_patch(made.get(key), value)
    return made


def strategic_patch(document: Document, patch: Document, schema: Any) -> Document:
    """Merge maps by key and lists by the schema's merge key; obey `$patch`, `$retainKeys` and its like."""
    patch = dict(patch)
    match patch.pop("$patch", None):
        case "replace":
            return patch
        case "delete":
            return {}
    made = dict(document)
    if (kept := patch.pop("$retainKeys", None)) is not None:
        made = {key: value for key, value in made.items() if key in kept}
    orders = {key.partition("/")[2]: patch.pop(key) for key in list(patch) if key.startswith("$setElementOrder/")}
    gone = {key.partition("/")[2]: patch.pop(key) for key in list(patch) if key.startswith("$deleteFromPrimitiveList/")}
    for name, values in gone.items():
        made[name] = [one for one in made.get(name, ()) if one not in values]
    for key, value in patch.items():
        if value is None:
            made.pop(key, None)
        else:
            made[key] = _merged(made.get(key), value, _field(schema, key))
    return made | {name: _ordered(made[name], order) for name, order in orders.items() if name in made}


def _merged(before: Any, value: Any, schema: Any) -> Any:
    if isinstance(value, dict):
        return strategic_patch(before if isinstance(before, dict) else {}, value, _resolved(schema))
    if isinstance(value, list) and "merge" in schema.get("x-kubernetes-patch-strategy", "").split(","):
        key = schema.get("x-kubernetes-patch-merge-key")
        if key is None:
            return [*(before or ()), *(one for one in value if one not in (before or ()))]
        return _merged_list(before or [], value, key, _resolved(schema.get("items", {})))
    return value


def _merged_list(before: list[Document], patches: list[Document], key: str, schema: Any) -> list[Document]:
    if any(patch.get("$patch") == "replace" for patch in patches):
        return [patch for patch in patches if "$patch" not in patch]
    made = [dict(one) for one in before]
    for patch in patches:
        at = next((at for at, one in enumerate(made) if one.get(key) == patch.get(key)), None)
        if patch.get("$patch") == "delete":
            made = [one for one in made if one.get(key) != patch.get(key)]
        elif at is None:
            made.append(strategic_patch({}, patch, schema))
        else:
            made[at] = strategic_patch(made[at], patch, schema)
    return made


def _ordered(elements: list[Any], order: list[Any]) -> list[Any]:
    """Elements as the order says; those that it does not name come last."""

    def rank(element: Any) -> int:
        for at, wanted in enumerate(order):
            same = wanted.items() <= element.items() if isinstance(wanted, dict) else wanted == element
            if same:
                return at
        return len(order)

    return sorted(elements, key=rank)


def _field(schema: Any, name: str) -> Any:
    schema = schema or {}
    found = schema.get("properties", {}).get(name) or schema.get("additionalProperties")
    return found if isinstance(found, dict) else {}


def _resolved(schema: Any) -> Any:
    """Follow a schema's reference."""
    reference = schema.get("$ref") or next((one["$ref"] for one in schema.get("allOf", ()) if "$ref" in one), None)
    return definitions()[reference.rpartition("/")[2]] if reference else schema
