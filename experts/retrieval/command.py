"""The command line of `python -m experts.retrieval`."""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console

from experts.artifacts.bases import BaseUnavailable
from experts.artifacts.encoder_bases import resolve_encoder
from experts.artifacts.store import ArtifactCorrupt, ArtifactStore, default_root
from experts.catalog.encoders import DEFAULT_ENCODER, default_collections
from experts.commands.messages import INTERRUPTED, complain
from experts.commands.progress import progress_bar
from experts.encoders.bert import UnsupportedEncoder
from experts.encoders.encoder import Encode, Role
from experts.encoders.openvino import OpenVINOEncoder
from experts.evaluation.gateway_client import GatewayClient, GatewayUnavailable
from experts.evaluation.suites.rows import RowError
from experts.retrieval.answers import WAYS, compare, read_questions
from experts.retrieval.evaluate import COLLECTIONS, evaluate
from experts.retrieval.index import Indexer, Report, remove
from experts.retrieval.late import DIMENSIONS
from experts.retrieval.pool import Pool, read_pool
from experts.retrieval.read import UnreadableFile
from experts.retrieval.search import Searcher
from experts.retrieval.store import About, CollectionMissing, Store, StoreError, check_name
from experts.retrieval.stores import open_store

FAILURES = (
    StoreError, UnreadableFile, RowError, BaseUnavailable, ArtifactCorrupt, UnsupportedEncoder, GatewayUnavailable
)  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what the command line says; return the exit status."""
    options = _parse(arguments)
    try:
        status: int = options.run(options)
    except FAILURES as error:
        complain(error)
        return 1
    except KeyboardInterrupt:
        return INTERRUPTED
    return status


def _index(options: argparse.Namespace) -> int:
    check_name(options.collection)
    encoder, store = _encoder(options), open_store(options.store)
    about = About(
        options.encoder, encoder.artifact, encoder.dimensions, options.language, _late(options, store, encoder)
    )
    began = time.perf_counter()
    with progress_bar(Console(stderr=True)) as bar:
        task = bar.add_task("passages", total=None)
        indexer = Indexer(
            store,
            options.collection,
            about,
            encoder,
            default_root() / "index",
            progress=lambda done, whole: bar.update(task, completed=done, total=whole),
        )
        report = indexer.index(options.files)
    for words in report.unreadable:
        complain(words)
    seconds = time.perf_counter() - began
    _tell(options, asdict(report) | {"seconds": round(seconds, 2)}, _sentence(options.collection, report))
    return 1 if report.unreadable else 0


def _late(options: argparse.Namespace, store: Store, encoder: Encode) -> int:
    """Return the dimensions of token vectors: as asked for, and as a collection that is there has them."""
    if options.late_interaction:
        return min(DIMENSIONS, encoder.dimensions)
    try:
        return store.about(options.collection).late
    except CollectionMissing:
        return 0


def _remove(options: argparse.Namespace) -> int:
    count = remove(open_store(options.store), options.collection, options.files, default_root() / "index")
    _tell(options, {"removed": count}, f"{options.collection}: {count} of {len(options.files)} files removed")
    return 0 if count == len(options.files) else 1


def _drop(options: argparse.Namespace) -> int:
    open_store(options.store).drop(options.collection)
    _tell(options, {"dropped": options.collection}, f"{options.collection} is removed")
    return 0


def _list(options: argparse.Namespace) -> int:
    store = open_store(options.store)
    rows = []
    for name in store.names():
        about = store.about(name)
        sizes = {"files": len(store.files(name)), "passages": store.count(name)}
        rows.append({"collection": name, **sizes, "encoder": about.encoder})
    words = "\n".join(f"{row['collection']}: {row['files']} files, {row['passages']} passages" for row in rows)
    _tell(options, {"collections": rows}, words or "there is no collection")
    return 0


def _search(options: argparse.Namespace) -> int:
    store = open_store(options.store)
    about = store.about(options.collection)
    encoder = _loaded(about.encoder)
    question = encoder.encode([options.query], Role.QUERY, with_tokens=True, truncate=True)
    searched = Searcher(store, encoder.artifact).search(
        [options.collection], options.query, question.pooled[0], options.top_k, question.tokens[0]
    )
    if options.json:
        print(json.dumps({"passages": [asdict(ranked) for ranked in searched.passages]}, ensure_ascii=False))
        return 0
    for number, ranked in enumerate(searched.passages, 1):
        passage = ranked.passage
        place = f", {passage.place}" if passage.place else ""
        print(f"[{number}] {passage.file}{place}  (words {ranked.words:.1f}, meaning {ranked.meaning:.2f})")
        print("\n".join(f"    {line}" for line in passage.words.splitlines()), end="\n\n")
    return 0


def _evaluate(options: argparse.Namespace) -> int:
    pool = read_pool(options.data)
    if options.limit is not None:
        pool = Pool(pool.passages, pool.questions[: options.limit])
    encoder = _encoder(options)
    with tempfile.TemporaryDirectory(prefix="moegate-") as folder, progress_bar(Console(stderr=True)) as bar:
        task = bar.add_task("pool", total=None)
        figures = evaluate(
            pool,
            open_store(folder),
            encoder,
            with_late=not options.no_late,
            with_maxsim=not options.no_maxsim,
            progress=lambda done, whole: bar.update(task, completed=done, total=whole),
        )
        kept = {name: _size(Path(folder) / f"{name}.lance") for name in COLLECTIONS}
    figures["bytes_per_passage"] = {name: round(size / figures["passages"]) for name, size in kept.items() if size}
    if not options.json:
        for name, found in {"hybrid": figures, **figures["baselines"]}.items():
            recall = ", ".join(f"@{cut} {value:.3f}" for cut, value in found["recall"].items())
            print(f"{name:8} recall {recall}, MRR {found['mrr']:.3f}")
    print(json.dumps(figures))
    return 0


def _size(folder: Path) -> int:
    """Return the bytes of a folder's files."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def _answers(options: argparse.Namespace) -> int:
    client = GatewayClient(options.gateway, options.api_key)
    questions = read_questions(options.data, options.limit)
    with progress_bar(Console(stderr=True)) as bar:
        task = bar.add_task("answers", total=None)
        figures = compare(
            client,
            options.model,
            options.collection,
            questions,
            top_k=options.top_k,
            in_flight=options.in_flight,
            progress=lambda done, whole: bar.update(task, completed=done, total=whole),
        )
    if not options.json:
        for way in WAYS:
            match = figures[way]["match"]
            low, high = match["ci95"]
            print(f"{way:9} match {match['value']:.3f} [{low:.3f}, {high:.3f}]")
    print(json.dumps(figures))
    return 0


def _encoder(options: argparse.Namespace) -> Encode:
    return _loaded(options.encoder)


def _loaded(base: str) -> Encode:
    return OpenVINOEncoder(resolve_encoder(base, ArtifactStore(default_root())))


def _tell(options: argparse.Namespace, row: Mapping[str, object], words: str) -> None:
    print(json.dumps(row, ensure_ascii=False) if options.json else words)


def _sentence(collection: str, report: Report) -> str:
    changes = (("new", report.added), ("changed", report.changed), ("removed", report.removed))
    told = ", ".join(f"{count} {word}" for word, count in changes if count) or "nothing new"
    reused = f" ({report.reused} encoded by an earlier run)" if report.reused else ""
    return f"{collection}: {told}, {report.unchanged} files as they were; {report.passages} passages indexed{reused}"


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m experts.retrieval", description="Collections of documents that experts answer from."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    index = _command(commands, "index", _index, "add files to a collection, or bring it up to them")
    index.add_argument("files", nargs="+", type=Path, metavar="FILE", help="a file, or a folder of them")
    index.add_argument("--encoder", default=DEFAULT_ENCODER, help="that makes the vectors (default: %(default)s)")
    index.add_argument(
        "--language", default="English", help="whose word endings and stop words count; '' for none (default: English)"
    )
    index.add_argument(
        "--late-interaction", action="store_true", help="of a new collection: keep a vector a token, which ranks better"
    )
    remove = _command(commands, "remove", _remove, "remove files from a collection")
    remove.add_argument("files", nargs="+", metavar="FILE", help="a file's name, as it was indexed")
    _command(commands, "drop", _drop, "remove a collection")
    _command(commands, "list", _list, "list the collections", has_collection=False)
    search = _command(commands, "search", _search, "search a collection")
    search.add_argument("query", metavar="QUERY")
    search.add_argument("--top-k", type=_positive, default=10, help="passages that are shown (default: %(default)s)")
    judge = _command(commands, "evaluate", _evaluate, "measure how well passages are found", has_collection=False)
    judge.add_argument("--data", type=Path, required=True, help="rows of question, passages and gold, as JSON lines")
    judge.add_argument("--limit", type=_positive, help="only the first questions; every passage stays in the pool")
    judge.add_argument("--encoder", default=DEFAULT_ENCODER, help="that makes the vectors (default: %(default)s)")
    judge.add_argument("--no-late", action="store_true", help="leave the search with token vectors out")
    judge.add_argument("--no-maxsim", action="store_true", help="leave late interaction out: it encodes the pool twice")
    ask = _command(commands, "answers", _answers, "measure what a gateway answers: alone, with gold, from a collection")
    ask.add_argument("--gateway", required=True, metavar="URL", help="a running one that searches")
    ask.add_argument("--api-key", default="any", help="where the gateway asks for one")
    ask.add_argument("--data", type=Path, required=True, help="rows of question, answers, passages and gold")
    ask.add_argument("--model", default="researcher", help="who is asked (default: %(default)s)")
    ask.add_argument("--limit", type=_positive, help="so many of the questions, drawn")
    ask.add_argument("--top-k", type=_positive, default=10, help="passages that are found (default: %(default)s)")
    ask.add_argument("--in-flight", type=_positive, default=2, help="questions at once (default: %(default)s)")
    return parser.parse_args(arguments)


def _command(
    commands: Any,  # noqa: ANN401  # argparse keeps the class to itself
    name: str,
    run: Callable[[argparse.Namespace], int],
    words: str,
    *,
    has_collection: bool = True,
) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(name, help=words, description=words)
    if has_collection:
        parser.add_argument("--collection", required=True, metavar="NAME")
    parser.add_argument("--store", default=default_collections(), help="a folder or s3://... (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="for programs")
    parser.set_defaults(run=run)
    return parser


def _positive(text: str) -> int:
    if (number := int(text)) < 1:
        raise ValueError
    return number
