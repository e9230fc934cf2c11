"""The stand-in's API server: discovery, objects, patches, watches, evictions, logs, over plain HTTP.

What kubectl and helm ask of Kubernetes, as https://kubernetes.io/docs/reference/using-api/api-concepts/ says it. Nobody
is asked who he is.
"""

import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import yaml

from tests.fakes.cluster import discovery
from tests.fakes.cluster.changes import applied, defaulted, patched
from tests.fakes.cluster.controllers import Controllers
from tests.fakes.cluster.kinds import BY_PLURAL, Kind
from tests.fakes.cluster.scheduler import selects
from tests.fakes.cluster.store import ApiError, Store
from tests.fakes.cluster.tables import table
from tests.fakes.cluster.wire import decoded

Document = dict[str, Any]
_PATH = re.compile(
    r"/(?:api/(?P<core>v1)|apis/(?P<group>[^/]+/[^/]+))(?:/namespaces/(?P<namespace>[^/]+)(?=/))?"
    r"/(?P<plural>[a-z0-9]+)(?:/(?P<name>[^/]+)(?:/(?P<sub>[a-z]+))?)?"
)


class Cluster:
    """A cluster of nothing but its API: `kubeconfig` lets clients in, `store` and `controllers` let tests look."""

    def __init__(self) -> None:
        self.store = Store()
        self.controllers = Controllers(self.store)
        self.asked: list[str] = []
        cluster = self

        class Handler(_Handler):
            at = cluster

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def kubeconfig(self) -> str:
        """A kubeconfig that leads here."""
        one = {"clusters": [{"name": "c", "cluster": {"server": self.url}}], "users": [{"name": "u", "user": {}}]}
        context = {"contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}], "current-context": "x"}
        return yaml.safe_dump({"apiVersion": "v1", "kind": "Config", **one, **context})

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    at: Cluster

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        self._answer("GET")

    def do_POST(self) -> None:
        self._answer("POST")

    def do_PUT(self) -> None:
        self._answer("PUT")

    def do_PATCH(self) -> None:
        self._answer("PATCH")

    def do_DELETE(self) -> None:
        self._answer("DELETE")

    def _answer(self, method: str) -> None:
        parts = urlsplit(self.path)
        query = {key: values[-1] for key, values in parse_qs(parts.query, keep_blank_values=True).items()}
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        self.at.asked.append(f"{method} {self.path}")
        try:
            if (known := discovery.answer(parts.path)) is not None:
                self._send(200, known)
                return
            match = _PATH.fullmatch(parts.path)
            if match is None or (kind := BY_PLURAL.get((match["core"] or match["group"], match["plural"]))) is None:
                raise ApiError(404, "NotFound", "the server could not find the requested resource")
            if query.get("watch") in {"true", "1"}:
                self._watch(kind, match["namespace"], query)
                return
            sent = self.headers.get("content-type", "")
            code, made = _Request(self.at, kind, match["namespace"] or "", query).carry_out(
                method, match["name"], match["sub"], decoded(body, sent), sent
            )
            shown = table(made) if "as=Table" in self.headers.get("accept", "") and method == "GET" else None
            self._send(code, made if shown is None else shown)
        except ApiError as error:
            status = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": str(error)}
            self._send(error.code, status | {"reason": error.reason, "code": error.code, "details": error.details})

    def _send(self, code: int, content: Any) -> None:
        is_text = isinstance(content, str)
        data = content.encode() if is_text else json.dumps(content).encode()
        self.send_response(code)
        self.send_header("content-type", "text/plain" if is_text else "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _watch(self, kind: Kind, namespace: str | None, query: dict[str, str]) -> None:
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        try:
            for event in _events(self.at.store, kind, namespace, query):
                data = json.dumps(event).encode() + b"\n"
                self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
                self.wfile.flush()
            self.wfile.write(b"0\r\n\r\n")
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True  # the client has seen enough


def _events(store: Store, kind: Kind, namespace: str | None, query: dict[str, str]) -> Iterator[Document]:
    """What has changed since a version, and what changes; ends with the watch's time."""
    limit = min(int(query.get("timeoutSeconds", 20)), 20)
    told = query.get("resourceVersion", "")
    with store.changed:
        since = int(told) if told not in {"", "0"} else store.version
        first = [] if told not in {"", "0"} else store.all(kind.name, namespace)
    yield from ({"type": "ADDED", "object": one} for one in first if _wanted(one, query))
    if query.get("sendInitialEvents") == "true":
        meta = {"resourceVersion": str(since), "annotations": {"k8s.io/initial-events-end": "true"}}
        yield {"type": "BOOKMARK", "object": {"apiVersion": kind.api_version, "kind": kind.name, "metadata": meta}}
    while limit:
        with store.changed:
            if store.version == since and not store.changed.wait(timeout=1):
                limit -= 1
            new = [one for one in store.events if one[0] > since]
            since = store.version
        for _, name, document in new:
            mine = (document["apiVersion"], document["kind"]) == (kind.api_version, kind.name)
            if mine and namespace in (None, document["metadata"].get("namespace")) and _wanted(document, query):
                yield {"type": name, "object": document}


def _wanted(document: Document, query: dict[str, str]) -> bool:
    """Whether an object is one of those that the selectors ask for."""
    return _has_fields(document, query) and _has_labels(document["metadata"].get("labels", {}), query)


def _has_fields(document: Document, query: dict[str, str]) -> bool:
    for term in filter(None, query.get("fieldSelector", "").split(",")):
        path, negated, value = re.split(r"(!=|==?)", term, maxsplit=1)
        found: Any = document
        for part in path.split("."):
            found = (found or {}).get(part)
        if (str(found or "") == value) == (negated == "!="):
            return False
    return True


def _has_labels(labels: dict[str, str], query: dict[str, str]) -> bool:
    wanted = {}
    for term in filter(None, re.split(r",(?![^(]*\))", query.get("labelSelector", ""))):
        if listed := re.fullmatch(r"(\S+) in \((.*)\)", term):
            if labels.get(listed[1]) not in listed[2].split(","):
                return False
        elif "=" in term:
            key, _, value = term.partition("=")
            wanted[key] = value.lstrip("=")
        elif (term.lstrip("!") in labels) is term.startswith("!"):
            return False
    return selects({"matchLabels": wanted}, labels)


class _Request:
    """One request for objects of a kind."""

    def __init__(self, at: Cluster, kind: Kind, namespace: str, query: dict[str, str]) -> None:
        self._store, self._kind, self._namespace, self._query = at.store, kind, namespace, query
        self._dry = query.get("dryRun") == "All"

    def carry_out(  # noqa: C901, PLR0911  # a table of verbs
        self, method: str, name: str | None, sub: str | None, body: Any, content_type: str
    ) -> tuple[int, Any]:
        with self._store.changed:
            match method, name, sub:
                case "GET", None, None:
                    return 200, self._list()
                case "GET", str(), "log":
                    return 200, f"log of {name}\n"
                case "GET", str(), None | "status":
                    return 200, self._get(str(name))
                case "POST", None, None:
                    return 201, self._create(body)
                case "POST", str(), "eviction":
                    return 201, self._evict(str(name))
                case "PUT", str(), None | "status":
                    return 200, self._replace(self._placed(body))
                case "PATCH", str(), None | "status":
                    return 200, self._patch(str(name), body, content_type)
                case "DELETE", str(), None:
                    return 200, self._get(str(name)) if self._dry else self._delete(str(name))
                case "DELETE", None, None:
                    gone = [self._delete(one["metadata"]["name"]) for one in self._list()["items"]]
                    return 200, {"kind": "Status", "apiVersion": "v1", "status": "Success", "details": {"n": len(gone)}}
                case _:
                    raise ApiError(405, "MethodNotAllowed", f"{method} {name} {sub}")

    def _get(self, name: str) -> Document:
        return self._store.get(self._kind, self._namespace, name)

    def _delete(self, name: str) -> Document:
        return self._store.delete(self._kind, self._namespace, name)

    def _list(self) -> Document:
        found = [one for one in self._store.all(self._kind.name, self._namespace or None) if _wanted(one, self._query)]
        meta = {"resourceVersion": str(self._store.version)}
        return {
            "apiVersion": self._kind.api_version,
            "kind": f"{self._kind.name}List",
            "metadata": meta,
            "items": found,
        }

    def _create(self, body: Document) -> Document:
        made = defaulted(self._placed(body))
        self._store.judge(made)
        return self._store.create(made, dry=self._dry)

    def _placed(self, body: Document) -> Document:
        """Say of an object what its path says: kind and namespace."""
        place = {"namespace": self._namespace} if self._kind.namespaced else {}
        named = {"apiVersion": self._kind.api_version, "kind": self._kind.name}
        return {**body, **named, "metadata": {**body.get("metadata", {}), **place}}

    def _replace(self, made: Document) -> Document:
        self._store.judge(made)
        return self._store.replace(made, dry=self._dry)

    def _patch(self, name: str, body: Any, content_type: str) -> Document:
        if "apply-patch" in content_type:
            try:
                before = self._get(name)
            except ApiError:
                return self._create(applied(None, body, self._query["fieldManager"]))
            return self._replace(applied(before, body, self._query["fieldManager"]))
        return self._replace(patched(self._get(name), body, content_type))

    def _evict(self, name: str) -> Document:
        """Delete a pod, unless a budget forbids it.

        Raises:
            ApiError: too many of its like are away already.
        """
        pod = self._get(name)
        for budget in self._store.all("PodDisruptionBudget", self._namespace):
            is_meant = selects(budget["spec"]["selector"], pod["metadata"]["labels"])
            if is_meant and not budget["status"]["disruptionsAllowed"]:
                words = "Cannot evict pod as it would violate the pod's disruption budget."
                raise ApiError(429, "TooManyRequests", words)
        self._delete(name)
        return {"kind": "Status", "apiVersion": "v1", "status": "Success"}
