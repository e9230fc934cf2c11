"""A module that writes or removes files claims them first, or is named here with its reason."""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGES = ("serve", "router", "experts", "moegate", "loadtests", "deploy")
SOURCES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py") if "_pb2" not in path.name)

WRITERS = {
    "write_text", "write_bytes", "rmtree", "unlink", "copytree", "copyfile", "savefig", "savez_compressed", "save",
    "rmdir", "touch", "save_file",
}  # fmt: skip
REASONS = {
    "deploy/helm/unpack.py": "the folder that make names, its own",
    "deploy/observe/prometheus.py": "a temporary folder",
    "experts/artifacts/store.py": "the cache, under names of hashes",
    "experts/artifacts/bases.py": "the cache",
    "experts/compilation/neuron/export.py": "a temporary folder, until it is published",
    "experts/compilation/neuron/merged.py": "a temporary folder",
    "experts/compilation/neuron/store.py": "claimed by claim_artifact, or the cache",
    "experts/evaluation/options_figure.py": "claimed by experts.select",
    "experts/commands/outputs.py": "this is how it is done",
    "experts/flywheel/registry.py": "a registry's own folder, under digests; its history is added to only",
    "experts/flywheel/progress.py": "a file of its own process in the flywheel's folder",
    "experts/flywheel/frozen.py": "a new folder, named by the digest of what is in it",
    "experts/cluster/ray_environment.py": "a temporary folder of its own making",
    "experts/compilation/requantise.py": "the cache",
    "experts/compilation/merge.py": "the cache",
    "experts/retrieval/index.py": "a lock in the cache",
    "experts/retrieval/spool.py": "the cache, under names of hashes",
    "experts/training/adapter_file.py": "a run's folder, claimed",
    "experts/artifacts/transformers_base.py": "the cache",
    "experts/training/progress.py": "a run's folder, claimed",
    "experts/training/run_folder.py": "names that runs write, in a folder with their stamp",
    "experts/training/spent.py": "a checkpoint of a claimed run",
    "loadtests/bench_report.py": "claimed by loadtests.bench",
    "loadtests/contestants.py": "a temporary folder",
    "loadtests/process_tree.py": "a temporary folder",
    "loadtests/flywheel_turn.py": "a temporary folder, or a claimed one",
    "loadtests/interactions.py": "a temporary folder",
    "loadtests/metering.py": "/dev/null",
    "loadtests/poison.py": "a temporary folder",
    "loadtests/revocation.py": "a temporary folder",
    "loadtests/upstream_engine.py": "a temporary folder",
    "loadtests/strict_schemas.py": "adds to a file of its own only",
    "router/model/artifact.py": "the archive in memory",
    "router/model/suspicion.py": "the archive in memory",
    "router/training/suspicion.py": "claimed; router.model.suspicion.save",
    "router/calibrate.py": "claimed; router.artifact.save",
    "router/training/calibrate_knob.py": "claimed by router.calibrate; router.artifact.save",
    "router/training/distil.py": "the archive in memory",
    "router/evaluation/figures.py": "claimed by router.evaluate",
    "router/commands/outputs.py": "this is how it is done",
    "router/training/grow.py": "claimed there; router.artifact.save",
    "router/train.py": "claimed; router.artifact.save",
    "serve/access/keys_file.py": "the file of keys that the user names, replaced whole; its other entries stay",
    "serve/interactions/stores.py": "segments, under names that nobody else gives a file",
    "serve/limits/stores.py": "a temporary folder of the workers",
    "serve/telemetry/observers/ledger.py": "no file: it tells the ledger what the cache has saved",
    "serve/commands/flywheel_router.py": "the flywheel's own folder, under a digest",
    "serve/commands/plan/pictures.py": "claimed there",
    "serve/live/remote/mirror.py": "the cache, under names of hashes",
    "serve/workers/shared_metrics.py": "a temporary folder of the workers",
    "serve/commands/up.py": "a temporary folder of its own making",
    "serve/workers/supervisor.py": "a temporary folder of the workers",
    "experts/app.py": "standard output",
    "experts/evaluation/suites/sandbox.py": "a temporary folder",
}
"""Modules that write or remove files, and why that harms nobody."""


def _writes(node: ast.AST) -> bool:
    if not isinstance(node, ast.Call):
        return False
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    if name in {"open", "fdopen"}:
        modes = [*node.args, *(keyword.value for keyword in node.keywords if keyword.arg == "mode")]
        return any(isinstance(one, ast.Constant) and set(str(one.value)) <= set("rwaxbt+") and
                   set(str(one.value)) & set("wax+") for one in modes)  # fmt: skip
    return name in WRITERS


def test_a_module_that_writes_files_has_a_reason() -> None:
    found = {
        str(path.relative_to(ROOT))
        for path in SOURCES
        if any(_writes(node) for node in ast.walk(ast.parse(path.read_text("utf-8"))))
    }
    assert found - set(REASONS) == set(), "claim what it writes by `experts.commands.outputs`, or give the reason"
