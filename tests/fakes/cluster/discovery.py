"""What a client asks first: versions, groups, resources, and whether the server checks fields (it does)."""

from typing import Any

from tests.fakes.cluster.kinds import KINDS, VERSION, Kind

Document = dict[str, Any]
_VERBS = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"]
_GROUPS = sorted({kind.api_version for kind in KINDS} - {"v1"})


def answer(path: str) -> Document | str | None:  # noqa: C901, PLR0911  # a table of paths
    """Return what is at a path of discovery; None where it is another's."""
    major, minor = VERSION.split(".")
    match path.strip("/").split("/"):
        case ["version"]:
            return {"major": major, "minor": minor, "gitVersion": f"v{VERSION}.0", "platform": "linux/amd64"}
        case ["healthz" | "readyz" | "livez"]:
            return "ok"
        case ["api"]:
            return {"kind": "APIVersions", "versions": ["v1"]}
        case ["apis"]:
            return {"kind": "APIGroupList", "apiVersion": "v1", "groups": list(map(_group, _GROUPS))}
        case ["api", version]:
            return _resources(version)
        case ["apis", group, version] if f"{group}/{version}" in _GROUPS:
            return _resources(f"{group}/{version}")
        case ["openapi", "v3"]:
            paths = [("api/v1", "v1"), *((f"apis/{one}", one) for one in _GROUPS)]
            return {"paths": {path: {"serverRelativeURL": f"/openapi/v3/{path}?hash={VERSION}"} for path, _ in paths}}
        case ["openapi", "v3", "api" | "apis", *rest]:
            return _fields_are_checked("/".join(rest))
        case _:
            return None


def _group(api_version: str) -> Document:
    group, _, version = api_version.partition("/")
    one = {"groupVersion": api_version, "version": version}
    return {"name": group, "versions": [one], "preferredVersion": one}


def _resources(api_version: str) -> Document:
    found = [one for kind in KINDS if kind.api_version == api_version for one in _entries(kind)]
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": api_version, "resources": found}


def _entries(kind: Kind) -> list[Document]:
    whole = {"name": kind.plural, "singularName": kind.name.lower(), "namespaced": kind.namespaced, "kind": kind.name}
    made: list[Document] = [whole | {"verbs": _VERBS, "shortNames": list(kind.short)}]
    for sub in kind.subresources:
        entry = {"name": f"{kind.plural}/{sub}", "singularName": "", "namespaced": kind.namespaced, "kind": kind.name}
        if sub == "eviction":
            entry |= {"kind": "Eviction", "group": "policy", "version": "v1"}
        made.append(entry | {"verbs": ["create"] if sub == "eviction" else ["get", "patch", "update"]})
    return made


def _fields_are_checked(api_version: str) -> Document:
    """A document that says no more than that `fieldValidation` is a parameter of every patch."""
    group, _, version = api_version.rpartition("/")
    parameter = {"name": "fieldValidation", "in": "query", "schema": {"type": "string"}}
    paths = {}
    for kind in (one for one in KINDS if one.api_version == api_version):
        named = {"group": group, "version": version, "kind": kind.name}
        place = f"/{'api' if not group else 'apis'}/{api_version}/{kind.plural}/{{name}}"
        paths[place] = {"patch": {"parameters": [parameter], "x-kubernetes-group-version-kind": named, "responses": {}}}
    return {"openapi": "3.0.0", "info": {"title": "stand-in", "version": VERSION}, "paths": paths}
