"""Reads the part of XGrammar's EBNF that our grammars are written in, and says whether a text follows one.

An independent reader: the tests ask it, without an engine, whether a grammar lets a text through. All ends that a
prefix can have are followed at once, so ambiguity costs nothing but time.
"""

from __future__ import annotations

import re
from functools import cache

_TOKEN = re.compile(
    r'\s*(?:(?P<text>"(?:[^"\\]|\\.)*")|(?P<kind>\[(?:[^\]\\]|\\.)*\])|(?P<name>[a-z]\w*)'
    r"|(?P<times>\{\d+(?:,\d*)?\})|(?P<mark>[()|?*+]))"
)
_ESCAPE = re.compile(r"\\(?:U([0-9a-f]{8})|u([0-9a-f]{4})|x([0-9a-f]{2})|(.))", re.DOTALL)
_UNBOUNDED = 1 << 30


def accepts(grammar: str, text: str) -> bool:
    """Say whether `text` follows the grammar's rule `root`."""
    rules = dict(line.split(" ::= ", 1) for line in grammar.splitlines() if line.strip())
    return _Reader({name: _Parser(body).parse() for name, body in rules.items()}, text).follows()


def matches(patterns: list[str], text: str) -> bool:
    """Say whether `text` follows one of these patterns; no patterns let nothing through."""
    return bool(patterns) and accepts("root ::= " + " | ".join(patterns), text)


class _Parser:
    """One rule's body to a tree of tuples."""

    def __init__(self, body: str) -> None:
        self._tokens = [match for match in _TOKEN.finditer(body) if match.group().strip()]
        assert "".join(match.group() for match in self._tokens).strip() == body.strip(), body
        self._at = 0

    def parse(self) -> tuple:
        options = [self._sequence()]
        while self._next("|"):
            options.append(self._sequence())
        return ("any", tuple(options))

    def _next(self, mark: str) -> bool:
        found = self._at < len(self._tokens) and self._tokens[self._at]["mark"] == mark
        self._at += found
        return found

    def _sequence(self) -> tuple:
        parts = []
        while self._at < len(self._tokens) and self._tokens[self._at]["mark"] not in ("|", ")"):
            parts.append(self._repeated(self._atom()))
        return ("all", tuple(parts))

    def _atom(self) -> tuple:
        if self._next("("):
            inner = self.parse()
            assert self._next(")")
            return inner
        token = self._tokens[self._at]
        self._at += 1
        if token["text"]:
            return ("text", _plain(token["text"][1:-1]))
        if token["kind"]:
            return ("kind", _kind(token["kind"][1:-1]))
        return ("rule", token["name"])

    def _repeated(self, atom: tuple) -> tuple:
        bounds = {"?": (0, 1), "*": (0, _UNBOUNDED), "+": (1, _UNBOUNDED)}
        while self._at < len(self._tokens):
            token = self._tokens[self._at]
            if token["times"]:
                low, _, high = token["times"][1:-1].partition(",")
                limits = (int(low), int(high) if high else int(low) if "," not in token["times"] else _UNBOUNDED)
            elif token["mark"] in bounds:
                limits = bounds[token["mark"]]
            else:
                break
            self._at += 1
            atom = ("times", atom, *limits)
        return atom


def _plain(text: str) -> str:
    def one(match: re.Match[str]) -> str:
        code = match[1] or match[2] or match[3]
        return chr(int(code, 16)) if code else {"n": "\n"}.get(match[4], match[4])

    return _ESCAPE.sub(one, text)


def _kind(text: str) -> tuple[bool, tuple[tuple[str, str], ...]]:
    is_without = text.startswith("^")
    spelt = re.findall(r"\\U[0-9a-f]{8}|\\u[0-9a-f]{4}|\\x[0-9a-f]{2}|\\.|.", text[is_without:], re.DOTALL)
    characters = [(_plain(one), len(one) > 1) for one in spelt]  # and whether it was escaped
    ranges, at = [], 0
    while at < len(characters):
        if at + 2 < len(characters) and characters[at + 1] == ("-", False):
            ranges.append((characters[at][0], characters[at + 2][0]))
            at += 3
        else:
            ranges.append((characters[at][0],) * 2)
            at += 1
    return is_without, tuple(ranges)


class _Reader:
    def __init__(self, rules: dict[str, tuple], text: str) -> None:
        self._rules, self._text = rules, text
        self._ends = cache(self._find_ends)

    def follows(self) -> bool:
        return len(self._text) in self._ends(self._rules["root"], 0)

    def _find_ends(self, node: tuple, at: int) -> frozenset[int]:
        match node:
            case ("text", text):
                return frozenset({at + len(text)} if self._text.startswith(text, at) else ())
            case ("kind", (is_without, ranges)):
                is_in = at < len(self._text) and any(low <= self._text[at] <= high for low, high in ranges)
                return frozenset({at + 1} if at < len(self._text) and is_in != is_without else ())
            case ("rule", name):
                return self._ends(self._rules[name], at)
            case ("any", options):
                return frozenset().union(*(self._ends(option, at) for option in options))
            case ("all", parts):
                ends = {at}
                for part in parts:
                    ends = {end for start in ends for end in self._ends(part, start)}
                return frozenset(ends)
            case ("times", part, low, high):
                return self._times(part, low, high, at)
        raise AssertionError(node)

    def _times(self, part: tuple, low: int, high: int, at: int) -> frozenset[int]:
        ends, found, count = {at}, set[int](), 0
        while ends and count <= high:
            if count >= low:
                if ends <= found:
                    break
                found |= ends
            ends = {end for start in ends for end in self._ends(part, start)}
            count += 1
        return frozenset(found)
