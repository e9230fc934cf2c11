"""Offered tools, read once: which terms each has in its name, its words and its parameters, and what its words mean.

`step`s and training make a `ToolIndex` of a tool set and ask it about many requests. It is a few numpy arrays: an
inverted index (term to tools, field by field) with BM25's weights, and word vectors (`router.features.word_vectors`).
Source of BM25: Robertson and Zaragoza 2009, "The Probabilistic Relevance Framework".
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from router.features.word_vectors import PARTS, SIZE, shipped_vectors
from router.tools.terms import grams, spaced, stem, words

FIELDS: Final = ("name", "description", "parameter names", "parameter words", "listed values", "characters")
NAME, DESCRIPTION, PARAMETERS, PARAMETER_WORDS, VALUES, CHARACTERS = range(len(FIELDS))
_K1: Final = 1.2
_B: Final = np.array([0.0, 0.6, 0.3, 0.6, 0.0, 0.9])  # how much a field's length counts, by field
MAX_PARAMETERS: Final = 64  # of one tool; further ones are not read
MAX_VALUES: Final = 64  # listed values of one parameter
_ALONE: Final = 200_000  # multiplications that OpenBLAS does in the calling thread (it begins others from 262,144)
KINDS: Final = ("number", "date", "address")

Floats = np.ndarray[Any, np.dtype[np.float32]]
Ints = np.ndarray[Any, np.dtype[np.int64]]


@dataclass(frozen=True, slots=True)
class ToolText:
    """What a tool says of itself; `parameters` is its JSON Schema, an object's."""

    name: str
    description: str
    parameters: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ToolIndex:
    """T tools.

    Attributes:
        size: T.
        terms: term to row.
        starts: where a term's postings begin, (V + 1,).
        columns: field * T + tool of each posting, (P,).
        weights: BM25's weight of each posting, (P,).
        name_total: sum of a tool's name weights, (T,).
        pooled: mean of its words' vectors, (T, SIZE), each part of length 1 or 0.
        name_vectors: of the names' different words, (U, SIZE).
        name_words: which of them a tool's name has, tool after tool, (n,).
        name_share: the weight of each in its name, (n,).
        name_starts: where each tool begins in the two above, (T,); every tool has one entry at least.
        needs: whether a required parameter is of the kind, (T, len(KINDS)).
    """

    size: int
    terms: dict[str, int]
    starts: Ints
    columns: Ints
    weights: Floats
    name_total: Floats
    pooled: Floats
    name_vectors: Floats
    name_words: Ints
    name_share: Floats
    name_starts: Ints
    needs: Floats


def build_index(tools: Sequence[ToolText]) -> ToolIndex:
    """Read tools, at least one; about .2 ms a tool."""
    fields = [_fields(tool) for tool in tools]
    counts = [[Counter(terms) for terms in field] for field in fields]
    terms = {term: at for at, term in enumerate(dict.fromkeys(term for one in counts for f in one for term in f))}
    rows, columns, weights, named = _postings(counts, terms)
    order = np.argsort(rows, kind="stable")
    starts = np.zeros(len(terms) + 1, dtype=np.int64)
    np.cumsum(np.bincount(rows, minlength=len(terms)), out=starts[1:])
    return ToolIndex(
        len(tools),
        terms,
        starts,
        columns[order],
        weights[order],
        named,
        np.stack([_pooled(tool) for tool in tools]),
        *_names(tools),
        np.array([_needs(tool.parameters) for tool in tools], dtype=np.float32),
    )


def _fields(tool: ToolText) -> list[list[str]]:
    """List a tool's terms, field by field in `FIELDS`' order."""
    name, description = words(spaced(tool.name)), words(spaced(tool.description))
    names: list[str] = []
    said: list[str] = []
    values: list[str] = []
    for key, schema in _properties(tool.parameters):
        names += words(spaced(key))
        said += words(spaced(str(schema.get("description") or "")))
        values += [stem(word) for value in _listed(schema) for word in words(spaced(value))]
    characters = [gram for word in [*name, *description] for gram in grams(word)]
    return [*(list(map(stem, field)) for field in (name, description, names, said)), values, characters]


def _properties(schema: Mapping[str, Any]) -> Iterable[tuple[str, Mapping[str, Any]]]:
    """Yield an object's properties, those of objects inside it too, at most `MAX_PARAMETERS` of each."""
    found = schema.get("properties")
    if not isinstance(found, Mapping):
        return
    for key, inner in list(found.items())[:MAX_PARAMETERS]:
        if isinstance(inner, Mapping):
            yield str(key), inner
            for part in (inner, inner.get("items")):
                if isinstance(part, Mapping) and isinstance(part.get("properties"), Mapping):
                    yield from ((str(k), v) for k, v in part["properties"].items() if isinstance(v, Mapping))


def _listed(schema: Mapping[str, Any]) -> list[str]:
    listed = schema.get("enum")
    return [str(value) for value in listed[:MAX_VALUES]] if isinstance(listed, list) else []


def _postings(counts: Sequence[Sequence[Counter[str]]], terms: Mapping[str, int]) -> tuple[Ints, Ints, Floats, Floats]:
    """Weigh every term of every field: rows, columns and weights; and how much each tool's name says, (T,)."""
    size, vocabulary = len(counts), len(terms)
    cells = [field for one in counts for field in one]  # tool after tool
    rows = np.array([terms[term] for cell in cells for term in cell], dtype=np.int64)
    count = np.array([value for cell in cells for value in cell.values()], dtype=np.float32)
    of = np.repeat(np.arange(len(cells)), [len(cell) for cell in cells])
    tool, field = of // len(FIELDS), of % len(FIELDS)
    length = np.bincount(of, count, minlength=len(cells)).reshape(size, len(FIELDS))
    relative = length / np.maximum(1.0, length.mean(axis=0))
    held = np.bincount(field * vocabulary + rows, minlength=len(FIELDS) * vocabulary)[field * vocabulary + rows]
    rarity = np.log1p((size - held + 0.5) / (held + 0.5))
    slack = _K1 * (1 - _B[field] + _B[field] * relative[tool, field])
    saturated = count * (_K1 + 1) / (count + slack)
    weights = np.where(np.isin(field, (NAME, VALUES)), rarity, rarity * saturated).astype(np.float32)
    in_name = field == NAME
    named = np.bincount(tool[in_name], weights[in_name], minlength=size).astype(np.float32)
    return rows, field * size + tool, weights, np.maximum(named, 1e-6)


def product(rows: Floats, columns: Floats) -> Floats:
    """Multiply (n, k) by (k, m), a few rows at a time: so small a product starts no thread of BLAS.

    Threads cost more than they give here, and on a machine that is busy they wait for each other: 20 ms in place of 1.
    """
    step = max(1, _ALONE // columns.size)
    if len(rows) <= step:
        return rows @ columns
    return np.concatenate([rows[at : at + step] @ columns for at in range(0, len(rows), step)])


def weighted(rows: Floats, weights: Floats) -> Floats:
    """Add up the columns of (n, k) by their weights (k,), without BLAS, for the same reason."""
    return np.asarray(np.einsum("nk,k->n", rows, weights), dtype=np.float32)


def unit(vectors: Floats) -> Floats:
    """Scale both parts of each vector (n, SIZE) to length 1; zeros stay."""
    length = np.sqrt(np.add.reduceat(vectors * vectors, [0, PARTS[0]], axis=1))
    return np.asarray(vectors / np.maximum(length, 1e-6).repeat(PARTS, axis=1), dtype=np.float32)


def vectors_of(rows: Sequence[int]) -> Floats:
    """Look word vectors up, (n, SIZE), each part of length 1 or 0."""
    table = shipped_vectors()
    return unit(table.table.take(rows, axis=0) * table.scale)


def pool(found: Sequence[str]) -> Floats:
    """Average words' vectors, (SIZE,), each part of length 1 or 0; zeros where none is known."""
    table = shipped_vectors()
    rows = table.rows_of(found)
    if not rows:
        return np.zeros(SIZE, dtype=np.float32)
    pooled: Floats = unit(weighted(vectors_of(rows).T, table.weight.take(rows))[None])[0]
    return pooled


def _pooled(tool: ToolText) -> Floats:
    said = words(spaced(tool.name)) * 2 + words(spaced(tool.description))
    return pool(said or [word for key, _ in _properties(tool.parameters) for word in words(spaced(key))])


def _names(tools: Sequence[ToolText]) -> tuple[Floats, Ints, Floats, Ints]:
    """Look the words of all names up, each once: vectors, and which of them each tool has, with what weight."""
    table = shipped_vectors()
    found = [table.rows_of(words(spaced(tool.name))) for tool in tools]
    places: dict[int, int] = {}
    for rows in found:
        for row in rows:
            places.setdefault(row, len(places) + 1)
    vectors = np.zeros((len(places) + 1, SIZE), dtype=np.float32)  # the first stands for names without a known word
    if places:
        vectors[1:] = vectors_of(list(places))
    shares = [table.weight.take(rows) / max(1e-6, float(table.weight.take(rows).sum())) for rows in found]
    has = [[places[row] for row in rows] or [0] for rows in found]
    share = [part if len(part) else np.zeros(1, dtype=np.float32) for part in shares]
    begins = np.cumsum([0, *(len(one) for one in has[:-1])])
    return vectors, np.array([at for one in has for at in one]), np.concatenate(share).astype(np.float32), begins


def _needs(schema: Mapping[str, Any]) -> list[float]:
    """Say of each of `KINDS` whether a required parameter is of it."""
    required = schema.get("required")
    needed = set(map(str, required)) if isinstance(required, list) else set()
    kinds = {kind for key, inner in _properties(schema) if key in needed for kind in _kind(key, inner)}
    return [float(kind in kinds) for kind in KINDS]


def _kind(key: str, schema: Mapping[str, Any]) -> Iterable[str]:
    said = spaced(key)
    if schema.get("type") in ("number", "integer", "float"):
        yield "number"
    if schema.get("format") in ("date", "date-time", "time") or "date" in said or "time" in said.split():
        yield "date"
    if schema.get("format") in ("email", "idn-email", "uri") or "email" in said or "url" in said:
        yield "address"
