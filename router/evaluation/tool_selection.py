"""`python -m router.evaluation.tool_selection --data FILE...`: how good the selection among many tools is.

Each request meets a pool of tools: its source's own, filled up with those of other sources. Told are the share of
requests of which every needed tool is kept, the share of tools and of their characters that is kept, and what the best
twelve by BM25 keep. With `--train`, a source is judged by weights, margins and floors that were fitted without its
group; with `--encoder URL` by the head that hears that server's encoder, too. The latency leaves the encoder's out.
"""

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from router.commands.messages import run_command
from router.tools.index import ToolText
from router.tools.likeness import LIKENESS, likeness
from router.tools.question import read_question
from router.tools.selector import DEFAULT_PATH, ENCODED, WORDS, Selector, read_selector
from router.training.embeddings import Embeddings
from router.training.tool_pools import Pooled, pools
from router.training.tool_selection import SIZES, Rows, columns_of, fit_head
from router.training.tool_sources import Source, read_source

BASELINE: Final = 12
MAX_KEPT: Final = 128  # as the gateway's step keeps at most
Z: Final = 1.96


def wilson(share: float, n: int) -> list[float]:
    """Return the 95 % interval of a share (Wilson 1927)."""
    middle, spread = share + Z * Z / (2 * n), Z * float(np.sqrt(share * (1 - share) / n + Z * Z / (4 * n * n)))
    return [round((middle - spread) / (1 + Z * Z / n), 4), round((middle + spread) / (1 + Z * Z / n), 4)]


def judge(pooled: Sequence[Pooled], selector: Selector, recall: float) -> dict[str, Any]:
    """Select for each request, and count."""
    whole, tools, characters, baseline, sure = 0, 0.0, 0.0, 0, 0
    place = LIKENESS.index("all fields: place")
    for one in pooled:
        selection = selector.select(one.question, one.index, recall=recall, at_most=MAX_KEPT, meaning=one.meaning)
        kept = np.zeros(one.index.size, dtype=np.bool_)
        kept[list(selection.kept)] = True
        sizes = np.array([_characters(tool) for tool in one.tools])
        whole += bool(kept[one.needed].all())
        tools += kept.mean()
        characters += sizes[kept].sum() / sizes.sum()
        baseline += bool((likeness(one.question, one.index)[one.needed, place] >= 1 / BASELINE).all())
        sure += selection.is_sure
    n = len(pooled)
    return {
        "n": n,
        "whole": {"value": round(whole / n, 4), "ci95": wilson(whole / n, n)},
        "tools": round(tools / n, 4),
        "characters": round(characters / n, 4),
        "sure": round(sure / n, 4),
        f"bm25_best_{BASELINE}": {"value": round(baseline / n, 4), "ci95": wilson(baseline / n, n)},
    }


def latency_us(source: Source, pooled: Sequence[Pooled], selector: Selector, recall: float) -> dict[str, float]:
    """Measure CPU time to read a request and to select, microseconds; the index is there."""
    took = []
    index, meaning = pooled[0].index, pooled[0].meaning
    for one in source.asked[:300]:
        began = time.thread_time()
        question = read_question(one.newest, one.before)
        selector.select(question, index, recall=recall, at_most=MAX_KEPT, meaning=meaning)
        took.append((time.thread_time() - began) * 1e6)
    return {"p50": round(float(np.median(took)), 1), "p99": round(float(np.quantile(took, 0.99)), 1)}


def _characters(tool: ToolText) -> int:
    return len(tool.name) + len(tool.description) + len(json.dumps(tool.parameters))


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure the selection among many tools."""
    parser = argparse.ArgumentParser(prog="python -m router.evaluation.tool_selection", description=main.__doc__)
    parser.add_argument("--data", nargs="+", type=Path, required=True, help="JSON lines to judge by, a source each")
    parser.add_argument("--train", nargs="+", type=Path, default=[], help="fit on these, without a source's own group")
    parser.add_argument("--encoder", metavar="URL", help="a server with /v1/embeddings; its encoder is heard, too")
    parser.add_argument("--artifact", type=Path, help="a selector; the shipped one otherwise")
    parser.add_argument("--pool", type=int, default=420, help="tools a request may choose among (420)")
    parser.add_argument("--recall", type=float, default=0.97, help="stated recall (0.97)")
    parser.add_argument("--limit", type=int, default=300, help="requests of each source (300)")
    parser.add_argument("--json", action="store_true", help="print one line of JSON last")
    options = parser.parse_args(arguments)
    return run_command(parser, lambda: _run(options))


def _run(options: argparse.Namespace) -> int:
    sources = [source for path in options.data for source in read_source(path)]
    encode = Embeddings(options.encoder) if options.encoder else None
    selectors = _selectors(options, sources, encode)
    found: dict[str, Any] = {}
    for source in sources:
        pooled = list(pools(source, sources, sizes=[options.pool], limit=options.limit, seed=1, encode=encode))
        selector = selectors[source.group]
        figures = judge(pooled, selector, options.recall)
        figures["latency_us"] = latency_us(source, pooled, selector, options.recall)
        found[source.name] = figures
        whole, low_high = figures["whole"]["value"], figures["whole"]["ci95"]
        print(f"{source.name}: n {figures['n']}, whole {whole} {low_high}, tools {figures['tools']}, ", end="")
        print(f"characters {figures['characters']}, best {BASELINE} {figures[f'bm25_best_{BASELINE}']['value']}")
    if options.json:
        print(json.dumps({"pool": options.pool, "recall": options.recall, "sources": found}))
    return 0


def _selectors(
    options: argparse.Namespace, sources: Sequence[Source], encode: Embeddings | None
) -> dict[str, Selector]:
    """Choose the selector that judges each group."""
    groups = {source.group for source in sources}
    if not options.train:
        one = read_selector(options.artifact or DEFAULT_PATH)
        return dict.fromkeys(groups, one)
    known = [source for path in options.train for source in read_source(path)]
    rows: dict[str, Rows] = {}
    for source in known:
        drawn = pools(source, known, sizes=SIZES, limit=options.limit, seed=0, encode=encode)
        near = [(one.numbers(), one.needed) for one in drawn]
        rows[source.group] = [*rows.get(source.group, ()), *near]
    return {group: _without(group, rows, encode) for group in groups}


def _without(group: str, rows: dict[str, Rows], encode: Embeddings | None) -> Selector:
    others = {name: part for name, part in rows.items() if name != group}
    words = fit_head(columns_of(others, WORDS), WORDS)
    return Selector(words, fit_head(others, ENCODED), encode.model) if encode else Selector(words)


if __name__ == "__main__":
    raise SystemExit(main())
