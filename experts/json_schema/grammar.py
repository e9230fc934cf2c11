"""A reduced schema as a grammar: which texts an engine may write, in the EBNF that XGrammar reads.

Used by `experts.engines.openvino_grammar`. The library's own converter is not used: its ranges are unsound (XGrammar
issues 640, 642, 661, 662), it allows endless blanks, and it allows a named key twice. This module expresses what a
grammar can say cheaply and exactly. The rest is left to the check of the whole answer
(`experts.conversation.structured`): steps such as 3 or 0.07, what a pattern looks ahead for, lengths of formats,
`uniqueItems`, "exactly one of", unnamed keys that come twice.

An answer is one line, with at most one space after a colon or a comma, as `json.dumps` writes it. An object's named
properties come in the schema's order. Other properties are allowed only if the schema says something about them
(`additionalProperties`, `patternProperties`) or names no property: whoever lists properties means these, and a small
model that may add more does not end. Syntax:
https://github.com/mlc-ai/xgrammar/blob/main/docs/defining_structures/ebnf_grammar.md
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from experts.json_schema.conformance import Schema
from experts.json_schema.grammar_terminals import all_but, integer, literal, number
from experts.json_schema.integer_ranges import MAX_DIGITS
from experts.json_schema.keywords import serialised
from experts.json_schema.merge import ANYTHING, NOTHING, extra_of
from experts.json_schema.pattern import parse_pattern
from experts.json_schema.pattern_grammar import pattern_grammar
from experts.json_schema.string_formats import FORMATS

MAX_REPEATS = 2_000
"""Lengths of strings and lists together that become rules of a grammar; longer ones are only checked."""
MAX_CHARS = 40_000
"""Of a grammar: the engine compiles it inside a step, for which every sequence of the batch waits. Measured: 25,000
characters take less than a token, a megabyte takes minutes."""
_MAX_KEY_CHARS = 1_000  # of an object's names: beyond it a name may be written twice, and the check finds it

_BASE: Final = rf"""
sp ::= " "?
hex ::= [0-9a-fA-F]
char ::= [^"\\\x00-\x1f] | "\\" escape
escape ::= ["\\/bfnrt] | "u" code
code ::= [0-9a-ce-fA-CE-F] hex hex hex | [dD] [0-7] hex hex | [dD] [89abAB] hex hex "\\u" [dD] [c-fC-F] hex hex
string ::= "\"" char* "\""
integer ::= "-"? whole
whole ::= "0" | [1-9] [0-9]{{0,{MAX_DIGITS - 1}}}
number ::= "-"? whole ("." [0-9]{{1,{MAX_DIGITS}}})? ([eE] [+\-]? [0-9]{{1,3}})?
value ::= object | array | string | number | "true" | "false" | "null"
object ::= "{{" (string ":" sp value ("," sp string ":" sp value)*)? "}}"
array ::= "[" (value ("," sp value)*)? "]"
"""


def grammar_of(schema: Schema) -> str:
    """Write the grammar of a reduced schema; its rule `root` accepts every value that follows the schema.

    One that would be too long to compile in a moment keeps to types and names alone, or in the end to JSON.
    """
    return _within_bounds(lambda rule: rule(schema))


def grammar_of_calls(form: Schema, calls: Sequence[tuple[str, Schema, str]], *, at_most_one: bool) -> str:
    """Write the grammar of an answer that follows `form` or calls tools, a line a call.

    Args:
        form: a reduced schema.
        calls: what stands before a tool's arguments, their reduced schema, and what stands behind them.
        at_most_one: the first call ends the answer.
    """

    def root(rule: Callable[[Schema], str]) -> str:
        options = (f"{literal(before)} {rule(schema)} {literal(behind)}" for before, schema, behind in calls)
        call = f"({' | '.join(options)})"
        return f"{rule(form)} | {call}" if at_most_one else f'{rule(form)} | {call} ("\\n" {call})*'

    return _within_bounds(root)


def grammar_of_plan(
    step: Callable[[int], Iterable[tuple[str, Schema, str]]],
    most: int,
    form: Schema | None,
    *,
    may_say_words: bool,
    trigger: str,
) -> str | None:
    """Write the grammar of a plan: one call of each step after the other, a line each, and an end after any of them.

    None where it would be too long to compile in a moment: a plan is never held to types alone, since what it refers to
    would not be held either. No more is written of such a one than shows it.

    Args:
        step: what the step of a number, from 1, may call, as `grammar_of_calls` takes calls.
        most: steps.
        form: a reduced schema that an answer without a plan follows; None where it has none.
        may_say_words: an answer may also be words, in which `trigger` does not stand.
        trigger: as `grammar_of_words` takes it; every call begins so.
    """
    writer = _Writer(is_lean=False, most_chars=MAX_CHARS)
    try:
        plan = ""
        for number in range(most, 0, -1):
            options = " | ".join(
                f"{literal(before)} {writer.rule(to)} {literal(behind)}" for before, to, behind in step(number)
            )
            plan = f"({options})" + (f' ("\\n" {plan})?' if plan else "")
            if len(plan) > MAX_CHARS:
                return None
        others = [writer.rule(form)] if form is not None else []
    except _TooLongError:
        return None
    others += [_words_without(trigger)] if may_say_words else []
    rules = "\n".join([f"root ::= {' | '.join([*others, plan])}", *writer.rules])
    return rules + _BASE if len(rules) <= MAX_CHARS else None


def grammar_of_words(trigger: str) -> str:
    """Write the grammar of words, or none, in which `trigger` does not stand: `<` and letters, none of them `<`.

    They do not begin with `<` either: who is kept from the last letters of a tag alone spells it another way.
    """
    return f"root ::= [ \\n]* ([^< \\n] {_words_without(trigger)})?"


def _words_without(trigger: str) -> str:
    begun = [trigger[:length] for length in range(1, len(trigger))]  # what may become it, and either ends or does not
    others = [f"{literal(part)} [^<{after}]" for part, after in zip(begun, trigger[1:], strict=True)]
    again = f"({' | '.join(map(literal, begun))})*"
    return f"([^<] | {again} ({' | '.join(others)}))* {again}"


def _within_bounds(root: Callable[[Callable[[Schema], str]], str]) -> str:
    """Write a grammar as closely as its length allows; `root` writes the rule of that name out of schemas' rules."""
    for is_lean in (False, True):
        writer = _Writer(is_lean=is_lean)
        rules = "\n".join([f"root ::= {root(writer.rule)}", *writer.rules])
        if len(rules) <= MAX_CHARS:
            return rules + _BASE
    return f"root ::= {root(_by_type)}{_BASE}"


def _by_type(schema: Schema) -> str:
    kind = schema.get("type")
    return kind if kind in ("object", "array") else "value"


class _TooLongError(Exception):
    """The rules have become more than they may be."""


class _Writer:
    """The rules of one grammar; equal schemas share one. A lean one knows a string or number by its type alone.

    With `most_chars`, `_TooLongError` is raised as soon as the rules have more characters.
    """

    def __init__(self, *, is_lean: bool, most_chars: int | None = None) -> None:
        self._is_lean = is_lean
        self._left = most_chars
        self.rules: list[str] = []
        self._names: dict[str, str] = {}
        self._chains: dict[str, list[str]] = {}
        self._repeats = MAX_REPEATS

    def rule(self, schema: Schema) -> str:
        """Return the name of the rule for a schema."""
        key = json.dumps(schema)
        if key not in self._names:
            self._names[key] = self._rule(self._body(schema))
        return self._names[key]

    def _rule(self, body: str) -> str:
        if self._left is not None:
            self._left -= len(body)
            if self._left < 0:
                raise _TooLongError
        name = f"r{len(self.rules)}"
        self.rules.append(f"{name} ::= {body}")
        return name

    def _body(self, schema: Schema) -> str:
        if schema == ANYTHING:
            return "value"
        if "enum" in schema:
            return " | ".join(literal(serialised(value)) for value in schema["enum"])
        if self._is_lean and schema.get("type") in ("string", "integer", "number"):
            return str(schema["type"])
        parts = schema.get("anyOf") or schema.get("oneOf")
        if parts is not None:
            return " | ".join(map(self.rule, parts))
        write: Mapping[str, Callable[[Schema], str]] = {
            "object": self._object,
            "array": self._array,
            "string": self._string,
            "integer": integer,
            "number": number,
            "boolean": lambda _: '"true" | "false"',
            "null": lambda _: '"null"',
        }
        return write[schema["type"]](schema)

    def _string(self, schema: Schema) -> str:
        inside = self._pattern(schema["pattern"]) if "pattern" in schema else None
        if inside is None and "format" in schema:
            inside = FORMATS[schema["format"]].grammar
        if inside is not None:
            return f'"\\"" ({inside}) "\\""'
        low, high = self._affordable(schema, "minLength", "maxLength")
        return f'"\\"" {self._repeated("char", low, high)} "\\""'

    def _pattern(self, pattern: str) -> str | None:
        return pattern_grammar(
            parse_pattern(pattern), lambda unit, low, high: self._repeated(unit, *self._afford(low, high))
        )

    def _array(self, schema: Schema) -> str:
        """First items, then further ones; a list may end before any that `minItems` does not ask for."""
        low, high = self._affordable(schema, "minItems", "maxItems")
        first = [self.rule(item) for item in schema.get("prefixItems", ())[:high]]
        tail = self._further_items(
            schema["items"], low - len(first), None if high is None else high - len(first), is_first=not first
        )
        for at in reversed(range(len(first))):
            comma, end = '"," sp ' if at else "", "" if at < low else ' | ""'
            tail = self._rule(f"{comma}{first[at]} {tail}{end}")
        return f'"[" {tail} "]"'

    def _further_items(self, items: Schema, low: int, high: int | None, *, is_first: bool) -> str:
        if items == NOTHING or high == 0:
            return '""'
        item, low = self.rule(items), max(low, 0)
        following = f'("," sp {item})'
        if not is_first:
            return self._repeated(following, low, high)
        more = self._repeated(following, max(low - 1, 0), None if high is None else high - 1)
        return f"({item} {more})" if low else f"({item} {more})?"

    def _repeated(self, unit: str, low: int, high: int | None) -> str:
        """Repeat: up to `high` by a chain of rules, because a wide `{m,n}` costs XGrammar 0.3 s a token (measured)."""
        least = f"{unit}{{{low}}} " if low else ""
        return f"{least}{unit}*" if high is None else f"{least}{self._at_most(unit, high - low)}"

    def _at_most(self, unit: str, count: int) -> str:
        chain = self._chains.setdefault(unit, ['""'])
        while len(chain) <= count:
            chain.append(self._rule(f'{unit} {chain[-1]} | ""'))
        return chain[count]

    def _affordable(self, schema: Schema, low: str, high: str) -> tuple[int, int | None]:
        """Return the lengths that the grammar keeps to."""
        return self._afford(schema.get(low, 0), schema.get(high))

    def _afford(self, least: int, most: int | None) -> tuple[int, int | None]:
        cost = least if most is None else most
        if cost > self._repeats:
            return 0, None
        self._repeats -= cost
        return least, most

    def _object(self, schema: Schema) -> str:
        """Named properties in their order, then unnamed ones: two chains of rules, before and behind a first comma."""
        named = {name: part for name, part in schema.get("properties", {}).items() if part != NOTHING}
        required = set(schema.get("required", ()))
        pair = self._unnamed_pair(schema)
        first = "" if pair is None else f'({pair} ("," sp {pair})*)?'
        later = "" if pair is None else f'("," sp {pair})*'
        first, later = first or '""', later or '""'
        for name in reversed(named):
            written = self._rule(f"{literal(serialised(name) + ':')} sp {self.rule(named[name])}")
            skip_first, skip_later = ("", "") if name in required else (f" | {first}", f" | {later}")
            first, later = (
                self._rule(f"{written} {later}{skip_first}"),
                self._rule(f'"," sp {written} {later}{skip_later}'),
            )
        return f'"{{" {first} "}}"'

    def _unnamed_pair(self, schema: Schema) -> str | None:
        extra = extra_of(schema)
        if extra == NOTHING or (schema.get("properties") and "additionalProperties" not in schema):
            return None
        spelt = [serialised(name)[1:-1] for name in schema.get("properties", {})]
        names = [name for name in spelt if "\\" not in name]  # one that has an escape may be spelt in several ways
        is_small = sum(map(len, names)) <= _MAX_KEY_CHARS
        key = f'"\\"" {self._other_than(names)} "\\""' if names and is_small else "string"
        return self._rule(f'{key} ":" sp {self.rule(extra)}')

    def _other_than(self, names: Iterable[str]) -> str:
        """Return a rule for the inside of any string but these; what is written with an escape counts as another."""
        branches: dict[str, list[str]] = {}
        for name in names:
            branches.setdefault(name[:1], []).append(name[1:])
        end = [] if branches.pop("", None) else ['""']
        others = [f"{all_but(branches)} char*", '"\\\\" escape char*']
        return self._rule(
            " | ".join([*others, *(f"{literal(at)} {self._other_than(rest)}" for at, rest in branches.items()), *end])
        )
