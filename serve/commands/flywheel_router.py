"""`moegate flywheel router`: the router's own turn: refit on who should have answered, judged twice, then promoted.

What people have named (`better_expert`) or liked is learned beside the seeds that ship (`python -m router.train`, in a
process of its own). The candidate is judged on labelled rows of the user's, beside the router that serves, and by
off-policy estimates on logged traffic, which say nothing where they amount to few rows. Gateways take what is
promoted up by themselves (`router.artifact` names the registry's link).
"""

import argparse
import getpass
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import orjson

import router.training
from experts.catalog.spec import load_catalog
from experts.flywheel.changes import Changes
from experts.flywheel.frozen import latest
from experts.flywheel.verdict import Judgement, Rules, Verdict, judge
from router.errors import RouterError
from router.evaluation.offpolicy import Estimate, estimate, read_log
from router.model.artifact import DEFAULT_PATH
from router.policy.objective import ExpertState
from router.router import Router
from router.training.dataset import Row, read_rows
from serve.commands.flywheel_data import opened_ratings, registry_of
from serve.commands.flywheel_registry import MAY_SERVE, ask, explain
from serve.commands.flywheel_trial import RouterBench
from serve.interactions import segments
from serve.interactions.joined import rated_rows
from serve.interactions.stores import open_segments
from serve.live.remote.registries import ROUTER
from serve.settings.tree import Settings, SettingsError, load_settings

NAME: Final = "router"
FILE: Final = "router.npz"
_SEEDS: Final = Path(router.training.__file__).parent / "seeds"
LEAST_ROWS: Final = 50
LEAST_EFFECTIVE: Final = 100.0
_ROOM: Final = 1 << 30  # tokens: no row is moved for its length
_GOAL: Final = "gold.right"


@dataclass(frozen=True, slots=True)
class Traffic:
    """What logged traffic says of a candidate; no estimate where no decision of the log was drawn."""

    estimate: Estimate | None
    least: float

    @property
    def verdict(self) -> Verdict:
        """Worse, better or not worse than what the log itself earned; nothing where the weights amount to few rows."""
        found = self.estimate
        if found is None or found.effective < self.least:
            return Verdict.TOO_LITTLE_DATA
        if found.doubly_robust.high < found.logged.value:
            return Verdict.WORSE
        return Verdict.BETTER if found.doubly_robust.low > found.logged.value else Verdict.NOT_WORSE

    def as_dict(self) -> dict[str, Any]:
        """Return the manifest's form."""
        found = {} if self.estimate is None else self.estimate.as_dict()
        return {"verdict": self.verdict.value, "least": self.least, **found}


def add_router(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `router`."""
    parser.add_argument("--gold", nargs="+", type=Path, required=True, metavar="FILE", help="labelled rows to judge by")
    parser.add_argument(
        "--data", nargs="+", type=Path, default=[], metavar="FILE", help="other labelled rows, to calibrate on"
    )
    parser.add_argument("--least-effective", type=float, default=LEAST_EFFECTIVE, metavar="N", help="rows of traffic")
    parser.add_argument("--gold-alone", action="store_true", help="go on where traffic says too little")
    parser.add_argument("--python", default=sys.executable, help="an interpreter that has moegate[train]")
    parser.add_argument("--at-once", action="store_true", help="promote it, neither unseen nor a canary before")
    parser.add_argument("--yes", action="store_true", help="do not ask before it decides (--at-once)")
    parser.set_defaults(command=_router)


def router_registry(settings: Settings) -> Changes:
    """The registry of the router's artefacts; no expert's, whatever its name."""
    return registry_of(settings, NAME, ROUTER)


def _router(arguments: argparse.Namespace) -> None:
    settings = load_settings(arguments.config)
    registry = router_registry(settings)
    serving = settings.router.artifact or DEFAULT_PATH
    _adopt(registry, serving)
    rows = _taught_by_traffic(settings)
    facts: dict[str, Any] = {"rows": len(rows), "artifact": str(registry.link / FILE)}
    if len(rows) < LEAST_ROWS:
        print(f"router: too little data: {len(rows)} of {LEAST_ROWS} rows say who should have answered")
        _tell(arguments, facts | {"verdict": Verdict.TOO_LITTLE_DATA.value})
        return
    try:
        candidate = _refit(settings, arguments, rows)
        judgement = judged(registry.link / FILE, candidate / FILE, read_rows(arguments.gold))
        traffic = Traffic(_estimated(settings, candidate / FILE), arguments.least_effective)
    except RouterError as error:
        raise SettingsError(f"router: {error}") from None
    made = {"judgement": judgement.as_dict(), "traffic": traffic.as_dict(), "rows": len(rows)}
    digest = registry.add(candidate, made)
    explain(judgement, {"expert": NAME, "candidate": digest})
    _explain_traffic(traffic)
    facts |= {"candidate": digest, **made, "promoted": False}
    refusal = _refusal(judgement, traffic, is_gold_enough=arguments.gold_alone)
    if refusal:
        print(f"router: {digest} does not decide: {refusal}")
    elif registry.current == digest:
        print(f"router: {digest} decides already")
    elif not arguments.at_once:
        facts["trial"] = _try_out(settings, digest, judgement.verdict.value)
    else:
        ask(f"router: let {digest} ({judgement.verdict.value}) decide?", is_sure=arguments.yes)
        registry.promote(digest, by=getpass.getuser(), why=judgement.verdict.value)
        facts["promoted"] = True
        print(f"router: {digest} decides; gateways whose router.artifact is {registry.link / FILE} take it up")
    _tell(arguments, facts | {"verdict": judgement.verdict.value})


def _try_out(settings: Settings, digest: str, why: str) -> str:
    """Let it decide beside the router that serves; returns where it stands.

    Raises:
        SettingsError: gateways would not know of it.
    """
    bench = RouterBench(settings)
    change = bench.begin(digest, why=why)
    print(f"router: {digest} is on trial: {change.event} {change.share:.0%}")
    print("what it shows: moegate flywheel shadow router; then: moegate flywheel canary router, promote router …")
    return change.event


def judged(serving: Path, candidate: Path, gold: Sequence[Row]) -> Judgement:
    """Have both decide every row, everybody well and idle; each source of enough rows is a guard."""
    old, new = (_hits(Router.load(path), gold) for path in (serving, candidate))
    pairs = {_GOAL: (old, new)}
    rules = Rules()
    for source in sorted({row.source for row in gold}):
        places = [place for place, row in enumerate(gold) if row.source == source]
        if rules.least <= len(places) < len(gold):
            pairs[f"gold.{source}"] = ([old[place] for place in places], [new[place] for place in places])
    return judge(pairs, _GOAL, rules)


def _hits(router: Router, gold: Sequence[Row]) -> list[float]:
    states = [ExpertState(name, _ROOM, True, 0, 1, 0.0) for name in router.gate.experts]
    return [float(router.route(row.query, states).expert in row.labels) for row in gold]


def _adopt(registry: Changes, serving: Path) -> None:
    """Take the artefact that decides now into the registry, if nothing does out of it yet."""
    if registry.current is not None:
        return
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(serving, Path(folder) / FILE)
        registry.adopt(Path(folder), by=getpass.getuser())


def _taught_by_traffic(settings: Settings) -> list[bytes]:
    """Rows that say who should have answered, out of every expert's latest curated set; each once."""
    found: dict[bytes, None] = {}
    for name in load_catalog(settings.experts.catalog).names:
        curated = latest(settings.flywheel.place / "curated", name)
        if curated is not None:
            found |= dict.fromkeys((curated.folder / "router.jsonl").read_bytes().splitlines())
    return list(found)


def _refit(settings: Settings, arguments: argparse.Namespace, rows: Sequence[bytes]) -> Path:
    """Train a candidate beside the seeds, unless these rows have made one; returns its folder.

    Raises:
        SettingsError: training failed.
    """
    content = b"\n".join(rows) + b"\n"
    place = settings.flywheel.place / "router" / "made" / sha256(content).hexdigest()[:16]
    candidate, seeds = place / "candidate", place / "seeds"
    if (candidate / FILE).is_file():
        return candidate
    for folder in (candidate, seeds):
        folder.mkdir(parents=True, exist_ok=True)
    for path in _SEEDS.glob("*.jsonl"):
        shutil.copy(path, seeds)
    (seeds / "traffic.jsonl").write_bytes(content)
    draft = place / f"draft-{os.getpid()}.npz"
    data = ["--data", *map(str, arguments.data)] if arguments.data else []
    command = [arguments.python, "-m", "router.train", "--seeds", str(seeds), "--out", str(draft), *data]
    status = subprocess.run(command, check=False, stdout=2).returncode
    if status:
        raise SettingsError(f"router: router.train ended with status {status}")
    os.replace(draft, candidate / FILE)
    return candidate


def _estimated(settings: Settings, candidate: Path) -> Estimate | None:
    """What the candidate would have earned on rated traffic whose decisions were drawn; None where there is none."""
    with opened_ratings(settings) as ratings:
        rated = list(rated_rows(segments.rows(open_segments(settings.interactions)), ratings.ratings()))
    drawn = [row for row in rated if row["propensity"] and row["ranking"]]
    if not drawn:
        return None
    with tempfile.NamedTemporaryFile(suffix=".jsonl") as file:
        file.write(b"".join(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE) for row in drawn))
        file.flush()
        return estimate(read_log([Path(file.name)], router=Router.load(candidate)), seed=0)


def _refusal(judgement: Judgement, traffic: Traffic, *, is_gold_enough: bool) -> str:
    """Why the candidate may not decide; empty where it may."""
    if judgement.verdict not in MAY_SERVE:
        return f"on the labelled rows it was found {judgement.verdict.value}, because of {judgement.because}"
    if traffic.verdict is Verdict.WORSE:
        return "on logged traffic it would have earned less"
    if traffic.verdict is Verdict.TOO_LITTLE_DATA and not is_gold_enough:
        effective = 0.0 if traffic.estimate is None else traffic.estimate.effective
        return f"logged traffic amounts to {effective:.0f} of {traffic.least:.0f} rows (--gold-alone goes without)"
    return ""


def _explain_traffic(traffic: Traffic) -> None:
    found = traffic.estimate
    if found is None:
        print("on logged traffic: no rated decision was drawn (router.explore, a canary)")
        return
    print(f"on logged traffic: SNIPS {found.snips}, doubly robust {found.doubly_robust}; the log earned {found.logged}")
    print(f"{found.n} rows that amount to {found.effective:.0f}: {traffic.verdict.value}")


def _tell(arguments: argparse.Namespace, facts: dict[str, Any]) -> None:
    if arguments.json:
        print(orjson.dumps(facts).decode())
