"""What the generalist learns from: sums that are made, worked out in steps; GSM8K's training problems; plain answers.

The base writes "17 + 25 = 32": it takes the sum in one breath. Here every sum goes by the places of its second number,
tens and then ones, always in the same way: a first recipe that added tens to tens and ones to ones, and took away as
here, was mixed up by the model. Problems of one or two steps are made in the same words, and GSM8K's short ones are
added; general answers keep it what it was.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from experts.evaluation.suites.rows import read_rows
from experts.training.recipes.sample import Sample, ask, one_shape

_SUMS: Final = 900
_PROBLEMS: Final = 220
_GSM8K: Final = 150
_GENERAL: Final = 130
_LEARNT: Final = 2700  # the first rows of the general answers; those behind them are held out
_LETTERS: Final = 420  # of an answer out of data files, at most
_ASKS: Final = (
    "What is {}?",
    "What is {}?",
    "{}",
    "{} = ?",
    "Calculate {}.",
    "How much is {}?",
    "Compute {}",
    "what's {}",
)
_NOTE: Final = re.compile(r"<<.*?>>")
_FINAL: Final = re.compile(r"\n#### (.+)$")
_THINGS: Final = ("apples", "books", "pens", "stamps", "eggs", "tickets", "cards", "chairs", "coins", "cups", "shells")
_NAMES: Final = ("Anna", "Ben", "Chiara", "David", "Elif", "Farid", "Grace", "Hiro", "Ines", "Jonas", "Kofi", "Lena")


def samples(data: Path | None, seed: int) -> list[Sample]:
    """Build every sample; without `data`, those that are made.

    Raises:
        RowError: a data file cannot be read.
        BadSample: a row has another shape.
    """
    rng = random.Random(f"generalist {seed}")
    made = [_sum(rng) for _ in range(_SUMS)] + [rng.choice(_KINDS)(rng) for _ in range(_PROBLEMS)]
    if data is not None:
        with one_shape("gsm8k_train"):
            rows = read_rows(data / "generalist/gsm8k_train.jsonl.gz")
            problems = [(row["question"], worked(row["answer"])) for row in rows]
        with one_shape("halueval_ok"):
            rows = read_rows(data / "advisor/halueval_ok.jsonl.gz")[:_LEARNT]
            general = [(row["messages"][-1]["content"], row["answer"]) for row in rows]
        made += _short(problems, _GSM8K, rng) + _short(general, _GENERAL, rng)
    return made


def worked(answer: str) -> str:
    """Write GSM8K's answer as one is said: without the notes for a calculator, with the result in a sentence."""
    return _FINAL.sub(r"\nThe answer is \1.", _NOTE.sub("", answer))


def _short(pairs: Sequence[tuple[str, str]], count: int, rng: random.Random) -> list[Sample]:
    usable = [(text, answer) for text, answer in pairs if 0 < len(answer) <= _LETTERS and len(text) <= _LETTERS]
    return [Sample(ask(text), answer) for text, answer in rng.sample(usable, min(count, len(usable)))]


def _sum(rng: random.Random) -> Sample:
    sign, steps = rng.choice((("+", added), ("+", added), ("-", taken), ("*", multiplied), ("/", divided)))
    if sign in "+-":
        most = rng.choice((20, 100, 100, 1000))
        first, second = sorted((rng.randint(1, most), rng.randint(1, most)), reverse=sign == "-" or rng.random() < 0.5)
    else:
        first, second = rng.choice((rng.randint(2, 12), rng.randint(11, 99))), rng.randint(2, 12)
        first = first * second if sign == "/" else first
    shown = {"*": rng.choice(("*", "x", "times")), "+": rng.choice(("+", "+", "plus")), "-": rng.choice(("-", "minus"))}
    gap = "" if rng.random() < 0.15 and shown.get(sign, "/") in {"+", "-", "*", "/"} else " "
    text = rng.choice(_ASKS).format(f"{first}{gap}{shown.get(sign, '/')}{gap}{second}")
    return Sample(ask(text), steps(first, second))


def added(first: int, second: int) -> str:
    """Add the places of the second number one after the other, to what there is each time."""
    steps, so_far = [], first
    for unit in (1000, 100, 10, 1):
        if part := second // unit % 10 * unit:
            steps.append(f"{so_far} + {part} = {so_far + part}")
            so_far += part
    result = f"{first} + {second} = {first + second}"
    return f"{', '.join(steps)}, so {result}." if len(steps) > 1 else f"{result}."


def taken(first: int, second: int) -> str:
    """Take away by places, from what is left each time."""
    steps, left = [], first
    for unit in (1000, 100, 10, 1):
        if part := second // unit % 10 * unit:
            steps.append(f"{left} - {part} = {left - part}")
            left -= part
    result = f"{first} - {second} = {first - second}"
    return f"{', '.join(steps)}, so {result}." if len(steps) > 1 else f"{result}."


def multiplied(first: int, second: int) -> str:
    """Multiply tens and ones by the second number, and add."""
    tens, ones = first // 10 * 10, first % 10
    result = f"{first} x {second} = {first * second}"
    if first <= 12 or not tens or not ones:
        return f"{result}."
    steps = f"{tens} x {second} = {tens * second}, {ones} x {second} = {ones * second}"
    return f"{steps}. {tens * second} + {ones * second} = {first * second}, so {result}."


def divided(first: int, second: int) -> str:
    """Divide what divides without a rest: by the multiplication that gives it."""
    whole = first // second
    return f"{whole} x {second} = {first}, so {first} / {second} = {whole}."


def _bought(rng: random.Random) -> Sample:
    thing, price, count = rng.choice(_THINGS), rng.randint(2, 12), rng.randint(2, 12)
    text = f"{thing.capitalize()} cost {price} dollars each. How much do {count} {thing} cost?"
    return Sample(ask(text), f"{count} x {price} = {count * price}. {count} {thing} cost {count * price} dollars.")


def _given_away(rng: random.Random) -> Sample:
    name, thing, had = rng.choice(_NAMES), rng.choice(_THINGS), rng.randint(10, 99)
    gave = rng.randint(2, had - 1)
    text = f"{name} has {had} {thing} and gives away {gave}. How many {thing} are left?"
    return Sample(ask(text), f"{taken(had, gave)} {name} has {had - gave} {thing} left.")


def _put_together(rng: random.Random) -> Sample:
    (one, other), thing = rng.sample(_NAMES, 2), rng.choice(_THINGS)
    first, second = rng.randint(3, 90), rng.randint(3, 90)
    text = f"{one} has {first} {thing} and {other} has {second}. How many {thing} do they have together?"
    return Sample(ask(text), f"{added(first, second)} They have {first + second} {thing} together.")


def _shared(rng: random.Random) -> Sample:
    thing, people, each = rng.choice(_THINGS), rng.randint(2, 9), rng.randint(2, 12)
    text = f"{people} children share {people * each} {thing} equally. How many does each child get?"
    return Sample(ask(text), f"{divided(people * each, people)} Each child gets {each} {thing}.")


def _driven(rng: random.Random) -> Sample:
    speed, hours = 10 * rng.randint(3, 12), rng.randint(2, 9)
    text = f"A train goes {speed} km an hour. How far does it go in {hours} hours?"
    return Sample(ask(text), f"{speed} x {hours} = {speed * hours}. It goes {speed * hours} km.")


_KINDS: Final[tuple[Callable[[random.Random], Sample], ...]] = (_bought, _given_away, _put_together, _shared, _driven)
