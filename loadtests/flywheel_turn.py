"""One real turn of the wheel on one machine: `python -m loadtests.flywheel_turn --python .venv-train/bin/python`.

A company (`loadtests.company`) wants its tenants answered in a form of its own, which the expert that ships does not
know. `moegate up` serves it with its canary; made-up tenants ask, and correct what they get. Then
`moegate flywheel run` does the whole turn while tenants go on asking: it trains on some of the people, judges by
others, lets the candidate answer unseen, gives it its shares and promotes it. At the end a candidate is put on trial
that is worse, and it is told how many of its answers went out before the gateway stopped it. One JSON line last: the
verdict with its interval, what people got before and after, and how many requests failed.
"""

import argparse
import asyncio
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any, Final

import httpx2
import yaml

from experts.catalog.spec import default_path
from experts.flywheel.registry import Registry
from loadtests.company import Report, reports, share_right
from loadtests.process_tree import ProcessTree

EXPERT: Final = "generalist"
CANDIDATE: Final = "generalist-next"
_START_S: Final = 900.0


class Tenants:
    """People who ask, one after the other in each of a few lines, and never stop.

    Attributes:
        outcomes: how many requests ended with which status; 0 = no answer.
        by: how many answers each expert has given.
    """

    def __init__(self, url: str) -> None:
        self._http = httpx2.AsyncClient(base_url=url, timeout=300)
        self.outcomes: Counter[int] = Counter()
        self.by: Counter[str] = Counter()

    async def ask(self, report: Report, *, model: str = EXPERT) -> tuple[str, str]:
        """Ask; the answer's id and words, empty where there is none."""
        body = {
            "model": model,
            "user": report.user,
            "max_tokens": 48,
            "messages": [{"role": "user", "content": report.words}],
        }
        try:
            answer = await self._http.post("/v1/chat/completions", json=body)
        except httpx2.HTTPError:
            self.outcomes[0] += 1
            return "", ""
        self.outcomes[answer.status_code] += 1
        if answer.status_code != 200:
            return "", ""
        content = answer.json()
        self.by[content["model"]] += 1
        return content["id"], content["choices"][0]["message"]["content"] or ""

    async def correct(self, report: Report) -> str:
        """Ask, and say what it should have been."""
        name, words = await self.ask(report, model="auto")
        if name:
            rating = 1 if words.split() == report.correction.split() else -1
            said = {"response_id": name, "rating": rating, "correction": report.correction}
            (await self._http.post("/v1/feedback", json=said)).raise_for_status()
        return words

    async def all(self, made: list[Report], lines: int, *, correct: bool = False) -> list[str]:
        """Ask everything, a few at once; the answers in order."""
        answers, waiting = [""] * len(made), iter(enumerate(made))

        async def line() -> None:
            for at, report in waiting:
                answers[at] = await self.correct(report) if correct else (await self.ask(report))[1]

        await asyncio.gather(*(line() for _ in range(lines)))
        return answers

    async def go_on(self, lines: int, seed: int) -> None:
        """Ask until cancelled, as the router decides whom: the model is not named."""
        numbers = count(seed)

        async def line() -> None:
            while True:
                number = next(numbers)
                [report] = reports(1, 1, number)
                await self.ask(report, model="auto")

        await asyncio.gather(*(line() for _ in range(lines)))

    async def close(self) -> None:
        """Hang up."""
        await self._http.aclose()


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
        "promote": "better",
        "goal": "traffic.same",
        "curate": {"train": arguments.train // 2, "held_out": 50, "people": 8},
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
    """Do everything; return the figures."""
    tenants = Tenants(url)
    found: dict[str, Any] = {}
    try:
        began = time.monotonic()
        asked = reports(arguments.users, -(-arguments.train // arguments.users), seed=1)
        await tenants.all(asked, arguments.lines, correct=True)
        unseen = reports(12, arguments.unseen // 12, seed=2, elsewhere=True)
        found["before"] = share_right(await tenants.all(unseen, arguments.lines), unseen)
        going = asyncio.create_task(tenants.go_on(arguments.lines, seed=1000))
        found["turn"] = await run_the_wheel(folder, settings, arguments)
        going.cancel()
        await asyncio.gather(going, return_exceptions=True)
        registry = Registry(folder / "flywheel" / "registry", EXPERT)
        found["history"] = [(change.event, change.share) for change in registry.history()]
        await asyncio.sleep(arguments.settle_s)
        found["after"] = share_right(await tenants.all(unseen, arguments.lines), unseen)
        found["sabotaged"] = await sabotage(folder, registry, tenants, arguments)
        found["minutes"] = round((time.monotonic() - began) / 60, 1)
    finally:
        await tenants.close()
    found["requests"] = {"by_status": dict(tenants.outcomes), "by_expert": dict(tenants.by)}
    return found


async def run_the_wheel(folder: Path, settings: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    """`moegate flywheel run`, as anybody would."""
    command = [
        *(sys.executable, "-m", "serve.cli", "flywheel", "run", EXPERT, "--config", str(settings), "--json"),
        *("--policy", str(folder / "policy.yaml"), "--python", arguments.python, "--patience", arguments.patience),
    ]
    process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE)
    out, _ = await process.communicate()
    print(out.decode(), flush=True)
    stand: dict[str, Any] = json.loads(out.splitlines()[-1])["experts"][0]
    manifest = folder / "flywheel" / "registry" / EXPERT / "candidates" / f"{stand['candidate']}.json"
    if manifest.is_file():
        stand["judgement"] = json.loads(manifest.read_text("utf-8"))["judgement"]
    return stand


async def sabotage(folder: Path, registry: Registry, tenants: Tenants, arguments: argparse.Namespace) -> dict[str, Any]:
    """Put a candidate on trial whose answers tenants dislike, and count what it gives before it is stopped."""
    spoilt = folder / "spoilt"
    shutil.copytree(registry.link.resolve(), spoilt)
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
    parser.add_argument("--users", type=int, default=24)
    parser.add_argument("--train", type=int, default=312, help="reports that are asked and corrected")
    parser.add_argument("--unseen", type=int, default=120, help="reports of people whom it never meets")
    parser.add_argument("--lines", type=int, default=2, help="requests at once")
    parser.add_argument("--answers", type=int, default=15, help="of the candidate, at each share")
    parser.add_argument(
        "--options", default="--epochs 1 --batch-size 4 --learning-rate 2e-3", help="for experts.finetune"
    )
    parser.add_argument("--patience", default="60m")
    parser.add_argument("--settle-s", type=float, default=60.0, help="for replicas to take weights up")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="moegate-turn-") as name:
        folder = Path(name)
        settings = write_settings(folder, arguments)
        with serving(settings, folder) as url:
            found = asyncio.run(turn(folder, settings, url, arguments))
    print(json.dumps(found))
    failed = sum(number for status, number in found["requests"]["by_status"].items() if status != 200)
    return int(bool(failed) or not found["turn"]["promoted"] or not found["sabotaged"]["was_stopped"])


if __name__ == "__main__":
    sys.exit(main())
