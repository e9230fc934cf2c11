"""What `kubectl kustomize` does, for the few features that deploy/k8s uses; anything else is refused.

So the manifests are validated wherever the tests run. Where kubectl is installed, a test holds this to its word.
"""

import copy
import hashlib
import json
from pathlib import Path
from typing import Any

import yaml

from tests.fakes.cluster.kinds import schema_of
from tests.fakes.cluster.patches import merge_patch, strategic_patch

Document = dict[str, Any]
KNOWN = {"apiVersion", "kind", "namespace", "resources", "components", "configMapGenerator", "patches", "images"}
CLUSTER_WIDE = {"Namespace"}  # and nothing else in a kustomization that sets a namespace


def render(folder: Path) -> list[Document]:
    """Every document of a kustomization."""
    content = yaml.safe_load((folder / "kustomization.yaml").read_text())
    unknown = set(content) - KNOWN
    if unknown:
        raise NotImplementedError(f"{folder}: {unknown}")
    documents: list[Document] = []
    for resource in content.get("resources", []):
        path = (folder / resource).resolve()
        documents += render(path) if path.is_dir() else [d for d in yaml.safe_load_all(path.read_text()) if d]
    for component in content.get("components", []):
        _take_in(documents, (folder / component).resolve())
    documents = copy.deepcopy(documents)  # anchors made parts of them one object
    documents += [_config_map(folder, generator) for generator in content.get("configMapGenerator", [])]
    for patch in content.get("patches", []):
        if set(patch) != {"path"}:
            raise NotImplementedError(f"{folder}: patch {patch}")
        _patch(documents, yaml.safe_load((folder / patch["path"]).read_text()))
    for document in documents:
        if "namespace" in content and document["kind"] not in CLUSTER_WIDE:
            document["metadata"]["namespace"] = content["namespace"]
        _set_images(document, {image["name"]: image for image in content.get("images", [])})
    _rename(documents)
    return documents


def _take_in(documents: list[Document], component: Path) -> None:
    """A component's resources, and its patches of what is there."""
    content = yaml.safe_load((component / "kustomization.yaml").read_text())
    if set(content) - {"apiVersion", "kind", "resources", "patches"}:
        raise NotImplementedError(f"{component}: {set(content)}")
    for resource in content.get("resources", []):
        documents += [d for d in yaml.safe_load_all((component / resource).read_text()) if d]
    for patch in content.get("patches", []):
        _patch(documents, yaml.safe_load((component / patch["path"]).read_text()))


def _config_map(folder: Path, generator: Document) -> Document:
    if set(generator) - {"name", "files", "options"}:
        raise NotImplementedError(f"{folder}: {generator}")
    options = generator.get("options", {})
    data = {}
    for entry in generator["files"]:
        key, _, path = entry.rpartition("=")
        data[key or Path(path).name] = (folder / path).read_text()
    document: Document = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": generator["name"]}}
    if data:
        document["data"] = data
    if "labels" in options:
        document["metadata"]["labels"] = options["labels"]
    if not options.get("disableNameSuffixHash"):
        document["_suffix"] = _hash(data)
    return document


def _hash(data: dict[str, str]) -> str:
    """The suffix of a generated ConfigMap; kustomize hashes it before it has its name."""
    text = json.dumps({"data": data, "kind": "ConfigMap", "name": ""}, separators=(",", ":"), ensure_ascii=False)
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    digest = hashlib.sha256(text.encode()).hexdigest()[:10]
    return digest.translate(str.maketrans("013ae", "ghkmt"))


def _patch(documents: list[Document], patch: Document) -> None:
    [target] = [
        d for d in documents if (d["kind"], d["metadata"]["name"]) == (patch["kind"], patch["metadata"]["name"])
    ]
    schema = schema_of(patch["apiVersion"], patch["kind"])
    merged = strategic_patch(target, patch, schema) if schema else merge_patch(target, patch)
    target.clear()
    target.update(merged)


def _set_images(node: Any, images: dict[str, Document]) -> None:
    for part in node.values() if isinstance(node, dict) else node:
        if isinstance(part, dict | list):
            _set_images(part, images)
    if isinstance(node, dict) and isinstance(node.get("image"), str):
        name = node["image"].rpartition(":")[0]
        if name in images:
            node["image"] = f"{images[name].get('newName', name)}:{images[name]['newTag']}"


def _rename(documents: list[Document]) -> None:
    """Give generated ConfigMaps their suffix, and everybody who mounts them the new name."""
    new = {d["metadata"]["name"]: f"{d['metadata']['name']}-{d.pop('_suffix')}" for d in documents if "_suffix" in d}
    for document in documents:
        if document["kind"] == "ConfigMap":
            document["metadata"]["name"] = new.get(document["metadata"]["name"], document["metadata"]["name"])
        _refer(document, new)


def _refer(node: Any, new: dict[str, str]) -> None:
    for key, part in node.items() if isinstance(node, dict) else enumerate(node):
        if key in ("configMap", "configMapRef") and isinstance(part, dict):
            part["name"] = new.get(part["name"], part["name"])
        if isinstance(part, dict | list):
            _refer(part, new)
