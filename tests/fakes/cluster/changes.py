"""What the API server makes of what it is sent: defaults, patches, and server-side apply.

Apply keeps, in an annotation, what each manager applied last; what it leaves out the next time goes. That is what
`managedFields` achieve; conflicts between managers are not looked for.
"""

import copy
import json
from typing import Any

from tests.fakes.cluster.kinds import schema_of
from tests.fakes.cluster.patches import json_patch, merge_patch, strategic_patch

Document = dict[str, Any]
_APPLIED = "stand-in/applied-by-"


def defaulted(document: Document) -> Document:
    """Fill in what Kubernetes fills in and somebody here relies on."""
    made = copy.deepcopy(document)
    if made["kind"] == "Deployment":
        made["spec"].setdefault("replicas", 1)
    if made["kind"] == "Secret":
        made.setdefault("type", "Opaque")
    if made["kind"] == "Namespace":
        made["metadata"].setdefault("labels", {})["kubernetes.io/metadata.name"] = made["metadata"]["name"]
    return made


def patched(document: Document, patch: Any, content_type: str) -> Document:
    """Carry out a patch of the kind that its content type says."""
    if "json-patch" in content_type:
        return json_patch(document, patch)
    if "strategic" in content_type:
        return strategic_patch(document, patch, schema_of(document["apiVersion"], document["kind"]))
    return dict(merge_patch(document, patch))


def applied(document: Document | None, configuration: Document, manager: str) -> Document:
    """Carry out a server-side apply."""
    key = f"{_APPLIED}{manager}"
    schema = schema_of(configuration["apiVersion"], configuration["kind"]) or {}
    before = document or defaulted(configuration)
    last = json.loads(before["metadata"].get("annotations", {}).get(key, "{}"))
    made = strategic_patch(_without(before, last, configuration), configuration, schema)
    made["metadata"] = copy.deepcopy(made["metadata"])
    made["metadata"].setdefault("annotations", {})[key] = json.dumps(configuration)
    return made


def _without(document: Document, last: Document, now: Document) -> Document:
    """Take away what was applied last and no longer is; lists that changed are taken away whole, to be set anew."""
    made = dict(document)
    for name, value in last.items():
        if name not in now or (isinstance(value, list) and now[name] != value):
            made.pop(name, None)
        elif isinstance(value, dict) and isinstance(made.get(name), dict) and isinstance(now[name], dict):
            made[name] = _without(made[name], value, now[name])
    return made
