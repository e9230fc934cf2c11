"""The mixture against the one: `python -m experts.evaluation.mixture --gateway URL --data ROWS --out DIR`.

Asks a running gateway every row of the `mixed` suite of `auto`, of each expert by name, and of the untouched base, and
writes `mixture.md` and `mixture.json`: quality with intervals, USD per 1,000 requests, time to first token, beside an
oracle router. A stopped run goes on where it was. The base must be in the gateway's catalogue: `--write-catalog FILE`
writes the catalogue with it.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import yaml
from rich.console import Console

from experts.catalog.spec import CatalogError, default_path, load_catalog
from experts.catalog.yaml_file import read_yaml
from experts.commands.messages import INTERRUPTED, complain
from experts.commands.outputs import IsOurs, NotOurs, claim, claim_all, json_with, text_with, write
from experts.commands.progress import progress_bar
from experts.evaluation.gateway_client import GatewayClient, GatewayUnavailable, Question, Served, ask_gateway
from experts.evaluation.mixture.comparison import AUTO, Judged, compare
from experts.evaluation.mixture.report import TITLE, as_json, as_markdown
from experts.evaluation.suites.known import SUITES
from experts.evaluation.suites.mixed import QUALITY, kind_of
from experts.evaluation.suites.rows import RowError, read_rows, sample
from experts.evaluation.suites.suite import Case, Suite

ANSWERS = "answers.jsonl"
OUTPUTS: dict[str, IsOurs] = {
    "mixture.md": text_with(TITLE),
    "mixture.json": json_with("mixture", "of_oracle"),
    ANSWERS: lambda path: {"row", "model", "quality"} <= json.loads(path.read_bytes().partition(b"\n")[0]).keys(),
}
CATALOGUE_HEADER = "# Made by `python -m experts.evaluation.mixture`: a catalogue, and its base without an adapter.\n"


@dataclass(frozen=True, slots=True)
class Task:
    """One row for one model."""

    row: str
    case: Case
    model: str


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure; return the exit status."""
    options = _parse(arguments)
    try:
        if options.write_catalog:
            claim(options.write_catalog, text_with(CATALOGUE_HEADER.strip()))
            write(options.write_catalog, catalogue_with_base(options.catalog or default_path(), options.base))
            return 0
        result = run(options, Console(stderr=True))
    except (GatewayUnavailable, RowError, CatalogError, NotOurs, OSError) as error:
        complain(error)
        return 1
    except KeyboardInterrupt:
        complain("stopped; the same command goes on from here")
        return INTERRUPTED
    if options.json:
        print(json.dumps(result))
    return 0


def run(options: argparse.Namespace, errors: Console) -> dict[str, Any]:
    """Ask what is not answered yet, then compare; return the JSON file's content."""
    claim_all(options.out, OUTPUTS)
    client = GatewayClient(options.gateway, options.api_key)
    models = _models(options, client)
    suite = SUITES["mixed"]()
    rows = sample(list(enumerate(read_rows(options.data))), options.limit, options.seed)
    cases = {_digest(row): suite.read(row, index) for index, row in rows}
    if not cases:
        raise RowError(f"{options.data}: there are no rows")
    known = [] if options.fresh else _read_answers(options.out / ANSWERS)
    done = {(one.row, one.model) for one in known}
    tasks = [Task(row, case, model) for model in models for row, case in cases.items()]  # one expert's fill its batch
    left = [task for task in tasks if (task.row, task.model) not in done]
    options.out.mkdir(parents=True, exist_ok=True)
    with (options.out / ANSWERS).open("w" if options.fresh else "a") as file:
        known += ask(client, suite, left, options, file, errors)
    judged = [one for one in known if one.row in cases and one.model in models]
    experts = [model for model in models if model not in {AUTO, options.base}]
    lines = compare(judged, models, experts, options.seed)
    table = as_markdown(lines, len(cases), options.shared)
    result = as_json(lines, len(cases), options.shared)
    write(options.out / "mixture.md", table)
    write(options.out / "mixture.json", json.dumps(result, indent=1) + "\n")
    Console().print(table, markup=False, highlight=False, soft_wrap=True)
    return result


def ask(
    client: GatewayClient,
    suite: Suite,
    tasks: Sequence[Task],
    options: argparse.Namespace,
    file: TextIO,
    errors: Console,
) -> list[Judged]:
    """Ask and judge; each answer is in the file before the next one counts.

    Raises:
        GatewayUnavailable: nobody answers any more, or some answers were lost.
    """
    judged: list[Judged] = []
    with progress_bar(errors) as progress:
        bar = progress.add_task("answers", total=len(tasks))

        def keep(at: int, served: Served) -> None:
            if served.is_lost:
                return
            judged.append(judge(suite, tasks[at], served))
            file.write(json.dumps(judged[-1].as_dict(), ensure_ascii=False) + "\n")
            file.flush()
            progress.advance(bar)

        questions = [Question(task.model, task.case.conversation) for task in tasks]
        ask_gateway(client, questions, options.in_flight, keep, options.max_tokens)
    if lost := len(tasks) - len(judged):
        raise GatewayUnavailable(
            f"{lost} answers were lost to an overloaded or failing gateway; the same command asks again"
        )
    return judged


def judge(suite: Suite, task: Task, served: Served) -> Judged:
    """Judge one answer by its row's own rule."""
    answer = served.answer
    return Judged(
        row=task.row,
        kind=kind_of(task.case.row),
        model=task.model,
        quality=float(suite.judge(task.case, answer.reply)[QUALITY]),
        expert=served.expert,
        usd=served.usd,
        ttft_ms=None if served.ttft_s is None else round(1000 * served.ttft_s, 1),
        finish=answer.finish,
        answer=answer.reply.text or json.dumps([[call.name, call.arguments] for call in answer.reply.calls]),
    )


def catalogue_with_base(path: Path, name: str) -> str:
    """Return a catalogue's YAML with one entry more: the default expert without its adapter.

    Raises:
        CatalogError: it cannot be used, or has an expert of that name.
    """
    catalog = load_catalog(path)
    if catalog.get(name) is not None:
        raise CatalogError(f"{path}: it has an expert {name!r} already")
    content = read_yaml(path).content
    default = next(entry for entry in content["experts"] if entry["name"] == catalog.default)
    base = {key: value for key, value in default.items() if key != "adapter"}
    base |= {"name": name, "description": "The untouched base, to compare with; nothing is routed to it."}
    content["experts"].append(base)
    return CATALOGUE_HEADER + yaml.safe_dump(content, sort_keys=False, allow_unicode=True)


def _models(options: argparse.Namespace, client: GatewayClient) -> list[str]:
    """Return whom to ask: those named, or all that the gateway has; `auto` first."""
    there = client.models()
    asked = options.models or there
    unknown = [model for model in asked if model not in there]
    if unknown:
        raise GatewayUnavailable(f"the gateway has no model {unknown[0]!r}; it has {', '.join(there)}")
    return sorted(asked, key=lambda model: (model != AUTO, model == options.base))


def _read_answers(path: Path) -> list[Judged]:
    """Read what an earlier run has kept; a last line that was cut off is taken away."""
    if not path.is_file():
        return []
    whole = path.read_text("utf-8").rpartition("\n")[0]
    write(path, f"{whole}\n" if whole else "")
    return [Judged(**json.loads(line)) for line in whole.split("\n") if line]


def _digest(row: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(row, sort_keys=True).encode()).hexdigest()[:16]


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m experts.evaluation.mixture", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--gateway", metavar="URL")
    parser.add_argument("--data", type=Path, help="rows of the mixed suite, .jsonl or .jsonl.gz")
    parser.add_argument("--out", type=Path, metavar="DIR", help="where tables and answers go")
    parser.add_argument("--models", type=lambda text: text.split(","), help="auto,NAME,... (default: all there are)")
    parser.add_argument("--base", default="base", metavar="NAME", help="the untouched base's name in the catalogue")
    parser.add_argument("--limit", type=int, metavar="N", help="only N rows, drawn with the seed")
    parser.add_argument("--max-tokens", type=int, metavar="N", help="of one answer (default: the expert's)")
    parser.add_argument("--in-flight", type=int, default=8, metavar="N", help="requests at once")
    parser.add_argument("--api-key", default="any", help="of a gateway that asks for one")
    parser.add_argument("--fresh", action="store_true", help="ask everything anew, whatever was answered before")
    parser.add_argument("--shared", action="store_true", help="say in the table that other work ran on the machine")
    parser.add_argument("--seed", type=int, default=0, help="of the sample and of the bootstrap")
    parser.add_argument("--json", action="store_true", help="print one JSON line last")
    parser.add_argument("--write-catalog", type=Path, metavar="FILE", help="write the catalogue with the base; no more")
    parser.add_argument("--catalog", type=Path, help="the catalogue to write from (default: the shipped one)")
    options = parser.parse_args(arguments)
    if not options.write_catalog and not (options.gateway and options.data and options.out):
        parser.error("say --gateway, --data and --out, or --write-catalog")
    if options.in_flight < 1:
        parser.error("--in-flight must be 1 or more")
    return options


if __name__ == "__main__":
    sys.exit(main())
