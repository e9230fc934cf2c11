"""Small rows of the shapes that the researcher's sources have; some answers stand in a second passage by chance."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

LANGUAGES = ("en", "de", "es")
LONG = "Too long to show. " * 80


def squad(tag: str, title: str = "") -> list[dict[str, Any]]:
    """Ask twice about each of thirty passages; one passage is too long, one question has no answer."""
    asked = [("Which colour has", "colour"), ("How heavy is", "weight")]
    rows = [
        {
            "title": title.format(n // 3),
            "context": f"The {tag} {n} has {tag}colour{n}q and has {tag}weight{n}q, of all things."
            + (f" A {tag} before it had {tag}colour{n - 1}q." if n % 3 == 2 else ""),
            "question": f"{question} {tag} {n}?",
            "answers": [f"has {tag}{word}{n}q" if n % 2 else f"{tag}{word}{n}q", f"{tag}{word}{n}q"],
            "impossible": False,
        }
        for n in range(30)
        for question, word in asked
    ]
    long = {"title": title, "context": LONG, "question": f"How long is {tag}?", "answers": ["Too long"]}
    return [*rows, long, {**rows[0], "question": f"Who made {tag}?", "answers": [], "impossible": True}]


def xquad() -> list[dict[str, Any]]:
    return [
        {
            "lang": language,
            "article": article,
            "title": f"Title_{article}",
            "context": f"The number of article {article} in {language} is n{article}{language}.",
            "question": f"Which number has article {article} ({language})?",
            "answers": [f"n{article}{language}"],
        }
        for article in range(30)
        for language in LANGUAGES
    ]


def beerqa() -> list[dict[str, Any]]:
    rows = [
        {
            "answers": ["yes"] if n % 4 == 0 else [f"bcolour{n}q"],
            "question": f"Which colour has thing {n}?" if n % 4 else f"Is thing {n} there?",
            "context": [
                [f"Thing {n}", f"It is bcolour{n}q."], [f"Place {n}", f"There stands thing {n}."],
                [f"Thing {n}", "It is old."],
            ],
        }
        for n in range(20)
    ]  # fmt: skip
    return [*rows, {"answers": ["in no passage"], "question": "Where is nothing?", "context": [["A", "b."]]}]


def hotpotqa() -> list[dict[str, Any]]:
    others = [{"title": f"Other {n}", "text": f"Other {n} is beside the point."} for n in range(8)]
    rows = [
        {
            "question": f"Where was the maker of song {n} born?",
            "answer": f"htown{n}q",
            "passages": [
                {"title": f"Song {n}", "text": f"Maker {n} made song {n}."}, *others,
                {"title": f"Maker {n}", "text": f"Maker {n} was born in htown{n}q."},
            ],
            "gold_titles": [f"Song {n}", f"Maker {n}"],
        }
        for n in range(40)
    ]  # fmt: skip
    return [*rows, {**rows[0], "question": "Who knows?", "answer": "in no passage"}]


def condaqa() -> list[dict[str, Any]]:
    words = ("YES", "NO", "DON'T KNOW", "perhaps")
    return [
        {
            "title": "",
            "context": f"Rule {n}: nobody may enter hall {n} by night.",
            "question": f"May one enter hall {n} at {hour}?",
            "answers": [words[hour % 4]],
        }
        for n in range(10)
        for hour in range(4)
    ]


def pubmedqa() -> list[dict[str, Any]]:
    return [
        {
            "id": str(n),
            "question": f"Does drug {n} help?",
            "answer": ("yes", "no", "maybe")[n % 3],
            "passages": [
                {"title": "BACKGROUND", "text": f"Drug {n}."},
                {"title": "ALL", "text": f"Drug {n} was tried."},
            ],
        }
        for n in range(9)
    ]


FILES: dict[str, Callable[[], list[dict[str, Any]]]] = {
    "squadshifts_new_wiki": lambda: squad("wiki", "Wiki_article_{}"),
    "squadshifts_reddit": lambda: squad("reddit", "Filtered_Reddit_Comments"),
    "fairytaleqa_train": lambda: squad("tale", "Tale {}"),
    "qamr_dev": lambda: squad("qamr"),
    "xquad_en_de_es": xquad,
    "beerqa_1000": beerqa,
    "hotpotqa_distractor_train500": hotpotqa,
    "condaqa_dev": condaqa,
    "pubmedqa_labeled": pubmedqa,
}
"""The files that the researcher learns from."""
