"""Small data files of the shapes that the recipes read."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

from tests.experts.training.recipes.rows import said

LANGUAGES = ("en", "de", "es")


def write(path: Path, rows: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress("\n".join(json.dumps(row) for row in rows).encode()))


def tool(name: str, **properties: str) -> dict[str, Any]:
    schema = {
        "type": "object",
        "properties": {key: {"type": kind} for key, kind in properties.items()},
        "required": list(properties),
    }
    return {"type": "function", "function": {"name": name, "description": name, "parameters": schema}}


def write_data(folder: Path) -> Path:
    """Write a file of each kind."""
    seal = [
        {
            "id": f"s{n}",
            "messages": said(f"seal {n}"),
            "tools": [tool(f"get{n}", x="integer"), tool(f"other{n}", y="string")],
            "calls": [{"name": f"get{n}", "arguments": {"x": "wrong" if n == 3 else n}}],
        }
        for n in range(40)
    ]
    bfcl = [
        {
            "id": f"{category}_{n}",
            "category": category,
            "messages": said(f"{category} {n}"),
            "tools": [tool("add", a="integer", b="integer")],
            "ground_truth": [] if category == "irrelevance" else [{"add": {"a": [n], "b": [1, 2], "c": ["x", ""]}}],
        }
        for category in ("simple_python", "multiple", "irrelevance")
        for n in range(6)
    ]
    write(folder / "tool-caller" / "seal_tools_dev.jsonl.gz", seal[:20])
    write(folder / "tool-caller" / "seal_tools_in_domain.jsonl.gz", seal[20:])
    write(folder / "tool-caller" / "bfcl.jsonl.gz", bfcl)
    xquad = [
        {
            "id": f"{article}-{language}",
            "lang": language,
            "article": article,
            "title": f"Title_{article}",
            "context": f"The number of article {article} in {language} is n{article}{language}.",
            "question": f"Which number has article {article}?",
            "answers": [f"n{article}{language}"],
        }
        for article in range(30)
        for language in LANGUAGES
    ]
    beerqa = [
        {
            "id": str(n),
            "answers": ["yes"] if n == 0 else [f"colour{n}"],
            "question": f"Which colour has {n}?",
            "context": [[f"Thing {n}", f"It is colour{n}."], [f"Place {n}", f"There stands thing {n}."]],
        }
        for n in range(12)
    ]
    write(folder / "researcher" / "xquad_en_de_es.jsonl.gz", xquad)
    write(folder / "researcher" / "beerqa_1000.jsonl.gz", beerqa)
    mbpp = [
        {"answer": f"def f{n}(a):\r\n\treturn a", "tests": [f"assert f{n}(1) == 1"], "messages": said(text)}
        for n, text in enumerate(["Write a function to give it back.", "Do it.", "Write a python function to copy it."])
    ] + [{"answer": "def (", "tests": ["assert f(1)"], "messages": said("Write a function to break.")}]
    write(folder / "coder" / "mbpp_train.jsonl.gz", mbpp)
    good = (
        "Here is what helps most people:\n\n"
        "1. **Walk:** go out before breakfast and leave your phone at home.\n"
        "2. **Write:** put three lines about the day on paper each evening.\n"
        "3. **Call:** ring one old friend a week, even for five minutes.\n\n"
        "Start with whichever feels lightest, and keep it up until spring."
    )
    for name in ("gpteacher_roleplay", "halueval_ok"):
        rows = [{"messages": said(f"Give me three tips, {n}."), "answer": good} for n in range(8)]
        write(folder / "advisor" / f"{name}.jsonl.gz", [*rows, {"messages": said("Hi"), "answer": "Short."}])
    return folder
