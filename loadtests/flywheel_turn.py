"""One real turn of the wheel on one machine: `python -m loadtests.flywheel_turn --python .venv-train/bin/python`.

A company (`loadtests.company`) wants its tenants answered in a form of its own, which the expert that ships does not
know. `moegate up` serves it with its canary; made-up tenants ask, and correct what they get. Then
`moegate flywheel run` does the whole turn while tenants go on asking: it trains on some of the people, judges by
others, lets the candidate answer unseen, gives it its shares and promotes it. At the end a candidate is put on trial
that is worse, and it is told how many of its answers went out before the gateway stopped it; then the promotion is
undone while tenants go on asking. One JSON line last: the verdict with its interval, what people got before and after,
and how many requests failed. `--run FOLDER` keeps everything there, and a call that was stopped (Ctrl-C, SIGTERM) is
gone on with by the same command.
"""

import argparse
import asyncio
import json
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import yaml

from experts.catalog.spec import default_path
from experts.commands.messages import INTERRUPTED
from experts.commands.outputs import NotOurs, claim, json_with, write
from experts.evaluation.suites.scores import share
from experts.flywheel.registry import Registry
from loadtests.company import Report, reports, share_right
from loadtests.process_tree import ProcessTree
from loadtests.tenants import EXPERT, Tenants

CANDIDATE: Final = "generalist-next"
STAND: Final = "stand.json"
_START_S: Final = 900.0


class Waits(Exception):
    """The turn is not over; the message says why."""


class Stand:
    """What is done of a run, on a disk after each part, so that the same command goes on there.

    Attributes:
        asked: places of reports that are corrected.
        found: figures by name.
        minutes: of each call so far.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / STAND
        self._began = time.monotonic()
        known = json.loads(self._path.read_text("utf-8")) if self._path.exists() else {}
        self.asked: set[int] = set(known.get("asked", ()))
        self.found: dict[str, Any] = known.get("found", {"requests": {"by_status": {}, "by_expert": {}}})
        self.minutes: list[float] = known.get("minutes", [])
        self._keep()

    def has(self, name: str) -> bool:
        """Whether a part is done."""
        return name in self.found

    def put(self, name: str, figure: Any) -> None:  # noqa: ANN401  # whatever a part finds
        """Keep what a part has found."""
        self.found[name] = figure
        self._keep()

    def note(self, place: int) -> None:
        """A report is corrected."""
        self.asked.add(place)
        self._keep()

    def leave(self, tenants: Tenants) -> None:
        """Add up what this call has asked, and how long it took."""
        for name, counts in (("by_status", tenants.outcomes), ("by_expert", tenants.by)):
            total = self.found["requests"][name]
            for what, number in counts.items():
                total[str(what)] = total.get(str(what), 0) + number
        self.minutes.append((time.monotonic() - self._began) / 60)
        self._keep()

    def _keep(self) -> None:
        content = {"asked": sorted(self.asked), "found": self.found, "minutes": self.minutes}
        write(self._path, json.dumps(content))


def write_settings(folder: Path, arguments: argparse.Namespace) -> Path:
    """Write the catalogue of one expert and its canary, the gateway's settings and the policy."""
    shipped = yaml.safe_load(default_path().read_text("utf-8"))
    entry = next(one for one in shipped["experts"] if one["name"] == EXPERT)
    registry = Registry(folder / "flywheel" / "registry", EXPERT)
    adapters = Path(default_path()).parents[1] / "experts" / "adapters" / EXPERT
    registry.adopt(adapters, by="loadtest")
    entries = [
        {**entry, "adapter": str(registry.link)},
        {**entry, "name": CANDIDATE, "canary_of": EXPERT, "adapter": str(registry.next_link)},
    ]
    (folder / "experts.yaml").write_text(yaml.safe_dump({"default": EXPERT, "experts": entries}))
    stages = [{"share": share, "answers": arguments.answers} for share in (0.2, 0.5)]
    settings = {
        "http": {"port": 0},
        "grpc": {"port": 0},
        "experts": {"catalog": str(folder / "experts.yaml"), "probe_interval_s": 1.0},
        "interactions": {"keys": ["*"], "target": str(folder / "kept")},
        "feedback": {"path": str(folder / "feedback.sqlite3")},
        "responses": {"path": str(folder / "responses.sqlite3")},
        "flywheel": {
            "folder": str(folder / "flywheel"),
            "stages": stages,
            "shadow_share": 0.5,
            "shadow_answers": 50,
        },
    }
    (folder / "gateway.yaml").write_text(yaml.safe_dump(settings))
    policy = {
        "canary": True,
        "promote": arguments.accept,
        "goal": "traffic.same",
        "curate": {"train": arguments.train // 2, "held_out": 50, "people": 8},
        "tokens": arguments.tokens,
        "options": arguments.options,
        "evaluate": "--max-tokens 48",
    }
    (folder / "policy.yaml").write_text(yaml.safe_dump({"experts": {EXPERT: policy}}))
    return folder / "gateway.yaml"


@contextmanager
def serving(settings: Path, folder: Path) -> Iterator[str]:
    """Run `moegate up`; yields where it listens."""
    command = [sys.executable, "-m", "serve.cli", "up", "--config", str(settings)]
    tree = ProcessTree(command, log=folder / "up.log")
    try:
        until = time.monotonic() + _START_S
        while "moegate ready: HTTP" not in (said := (folder / "up.log").read_text("utf-8", "replace")):
            if tree.has_ended or time.monotonic() > until:
                raise RuntimeError(f"moegate did not start:\n{said[-2000:]}")
            time.sleep(0.5)
        yield said.split("moegate ready: HTTP ")[1].split(",")[0]
    finally:
        tree.stop()


async def turn(folder: Path, settings: Path, url: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """Do everything that is not done; return the figures.

    Raises:
        Waits: the turn waits for evidence, or has failed; the same command goes on.
    """
    tenants, stand = Tenants(url), Stand(folder)
    unseen = reports(12, arguments.unseen // 12, seed=2, elsewhere=True)
    try:
        asked = reports(arguments.users, -(-arguments.train // arguments.users), seed=1)
        await tenants.correct_all(asked, arguments.lines, stand.asked, stand.note)
        if not stand.has("before"):
            stand.put("before", _right(await tenants.all(unseen, arguments.lines), unseen))
        registry = Registry(folder / "flywheel" / "registry", EXPERT)
        if not stand.has("turn"):
            async with tenants.going_on(arguments.lines, seed=1000 * (1 + len(stand.minutes))):
                found = await run_the_wheel(folder, settings, arguments)
                await asyncio.sleep(arguments.settle_s)
            stand.put("turn", found)
        if not stand.has("after"):
            stand.put("after", _right(await tenants.all(unseen, arguments.lines), unseen))
        if stand.found["turn"]["promoted"] and not stand.has("sabotaged"):
            stand.put("sabotaged", await sabotage(folder, registry, tenants, arguments))
        if stand.found["turn"]["promoted"] and not stand.has("rolled_back"):
            failed = tenants.failed
            async with tenants.going_on(arguments.lines, seed=500_000):
                registry.roll_back(by="loadtest", why="to see that nobody notices")
                await asyncio.sleep(arguments.settle_s)
            right = _right(await tenants.all(unseen, arguments.lines), unseen)
            stand.put("rolled_back", {"failed": tenants.failed - failed, "right": right})
        history = [(change.event, change.share) for change in registry.history()]
    finally:
        stand.leave(tenants)
        await tenants.close()
    return {**stand.found, "history": history, "minutes": [round(one, 1) for one in stand.minutes]}


def _right(answers: Sequence[str], made: Sequence[Report]) -> dict[str, object]:
    """The share of answers in the company's form, to the letter, with n and Wilson's interval."""
    return share(round(share_right(answers, made) * len(made)), len(made)).as_dict()


async def run_the_wheel(folder: Path, settings: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    """`moegate flywheel run`, as anybody would."""
    command = [
        *(sys.executable, "-m", "serve.cli", "flywheel", "run", EXPERT, "--config", str(settings), "--json"),
        *("--policy", str(folder / "policy.yaml"), "--python", arguments.python, "--patience", arguments.patience),
    ]
    tree = ProcessTree(command, log=folder / "run.log")
    try:
        await asyncio.to_thread(tree.wait)
    finally:
        tree.stop()
    told = [line for line in tree.log.read_text("utf-8", "replace").splitlines() if line.startswith('{"experts"')]
    if not told:
        raise Waits(f"moegate flywheel run failed: {tree.log}")
    stand: dict[str, Any] = json.loads(told[-1])["experts"][0]
    if stand["waits"]:
        raise Waits(stand["waits"])
    manifest = folder / "flywheel" / "registry" / EXPERT / "candidates" / f"{stand['candidate']}.json"
    if manifest.is_file():
        stand["judgement"] = json.loads(manifest.read_text("utf-8"))["judgement"]
    return stand


async def sabotage(folder: Path, registry: Registry, tenants: Tenants, arguments: argparse.Namespace) -> dict[str, Any]:
    """Put a candidate on trial whose answers tenants dislike, and count what it gives before it is stopped."""
    spoilt = folder / "spoilt"
    shutil.copytree(registry.link.resolve(), spoilt, dirs_exist_ok=True)
    (spoilt / "spoilt").write_text("the adapter that shipped once more: it does not know the form")
    shipped = next(change.digest for change in registry.history() if change.event == "adopted")
    for path in (folder / "flywheel" / "registry" / EXPERT / "artifacts" / str(shipped)).iterdir():
        shutil.copy(path, spoilt / path.name)
    digest = registry.add(spoilt, {"sabotaged": True})
    registry.try_out(digest, 0.25, is_shadow=False, by="loadtest", why="sabotaged")
    await asyncio.sleep(arguments.settle_s)
    before, began, asked = tenants.by[CANDIDATE], time.monotonic(), 0
    path = folder / "flywheel" / "ended-trials.jsonl"
    while not path.exists() and asked < 1000:
        for report in reports(4, 1, seed=50_000 + asked):
            await tenants.correct(report)
            asked += 1
    return {
        "was_stopped": path.exists(),
        "its_answers": tenants.by[CANDIDATE] - before,
        "requests": asked,
        "seconds": round(time.monotonic() - began, 1),
        "why": json.loads(path.read_text("utf-8").splitlines()[-1])["kind"] if path.exists() else "",
    }


def main() -> int:
    """Turn the wheel; 1 when a request failed, or the candidate was not promoted, or the spoilt one was not stopped."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", default=sys.executable, help="an interpreter that has moegate[train]")
    parser.add_argument("--run", type=Path, metavar="FOLDER", help="keep everything here; the same command goes on")
    parser.add_argument("--tokens", type=int, default=60_000, help="computed in training, in all epochs")
    parser.add_argument("--users", type=int, default=24)
    parser.add_argument("--train", type=int, default=312, help="reports that are asked and corrected")
    parser.add_argument("--unseen", type=int, default=120, help="reports of people whom it never meets")
    parser.add_argument("--accept", default="better", help="the least that has to be found: a policy's `promote`")
    parser.add_argument("--lines", type=int, default=2, help="requests at once")
    parser.add_argument("--answers", type=int, default=15, help="of the candidate, at each share")
    parser.add_argument(
        "--options", default="--epochs 2 --batch-size 4 --learning-rate 2e-3", help="for experts.finetune"
    )
    parser.add_argument("--patience", default="60m")
    parser.add_argument("--settle-s", type=float, default=60.0, help="for replicas to take weights up")
    arguments = parser.parse_args()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell starts what is in the background without
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))  # so that what was done is noted
    try:
        with _place(arguments.run) as folder:
            settings = write_settings(folder, arguments)
            with serving(settings, folder) as url:
                found = asyncio.run(turn(folder, settings, url, arguments))
    except (NotOurs, Waits) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped; with --run the same command goes on", file=sys.stderr)
        return INTERRUPTED
    print(json.dumps(found))
    failed = sum(number for status, number in found["requests"]["by_status"].items() if status != "200")
    return int(bool(failed) or not found["turn"]["promoted"] or not found.get("sabotaged", {}).get("was_stopped"))


@contextmanager
def _place(run: Path | None) -> Iterator[Path]:
    """The run's folder: a temporary one, or the one that was named, new or of an earlier call.

    Raises:
        NotOurs: it holds something else.
    """
    if run is None:
        with tempfile.TemporaryDirectory(prefix="moegate-turn-") as name:
            yield Path(name)
        return
    claim(run / STAND, json_with("asked", "found", "minutes"))
    if run.is_dir() and any(run.iterdir()) and not (run / STAND).is_file():
        raise NotOurs(f"{run}: holds files and no turn, so nothing in it is touched; give --run another")
    Stand(run)  # from here on the folder is ours
    yield run.resolve()


if __name__ == "__main__":
    sys.exit(main())
