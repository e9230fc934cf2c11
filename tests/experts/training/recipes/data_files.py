"""Small data files of the shapes that the recipes read, and traps in the places of those that they must not read."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

from tests.experts.training.recipes import researcher_files, tool_files
from tests.experts.training.recipes.rows import said

HELD_OUT = (
    *(f"researcher/{name}" for name in ("squadshifts_amazon", "policyqa_dev", "policyqa_test", "qamr_test")),
    *(f"researcher/{name}" for name in ("condaqa_test_fewshot_union", "fairytaleqa_test")),
    *(f"tool-caller/{name}" for name in ("seal_tools_out_domain_eval", "apibank_lv1_lv2", "sgd_tools_dev")),
    *(f"tool-caller/metatool_{name}" for name in ("multi_tool_queries", "need_tool_or_not", "single_tool_queries")),
    *(f"tool-caller/{name}" for name in ("metatool_tools", "sgd_tools_test", "sgd_tools_test_services", "xsid_test")),
    *("tool-caller/snips_validate", "generalist/gsm8k_eval", "coder/mbpp_eval"),
)
"""Files beside those that the recipes read: to read one is an error, for it holds no rows."""
READ = {
    "tool-caller": (
        *(f"tool-caller/{name}" for name in tool_files.FILES),
        *("generalist/gsm8k_train", "coder/mbpp_train", "advisor/halueval_ok", "advisor/koala_test_prompts"),
    ),
    "researcher": (
        *(f"researcher/{name}" for name in (*researcher_files.FILES, "hotpotqa_dev", "strategyqa_train")),
        *("advisor/halueval_ok", "retrieval/medquad_qa"),
    ),
    "generalist": ("generalist/gsm8k_train", "advisor/halueval_ok"),
    "coder": ("coder/mbpp_train",),
    "advisor": ("advisor/gpteacher_roleplay", "advisor/halueval_ok"),
}
"""Which files each expert's recipe needs."""


def place(folder: Path, name: str) -> Path:
    return folder / f"{name}.jsonl.gz"


def write(path: Path, rows: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress("\n".join(json.dumps(row) for row in rows).encode()))


def write_data(folder: Path) -> Path:
    """Write a file of each kind, and the traps."""
    for name, rows in researcher_files.FILES.items():
        write(place(folder, f"researcher/{name}"), rows())
    for name, rows in tool_files.FILES.items():
        write(place(folder, f"tool-caller/{name}"), rows())
    write(place(folder, "coder/mbpp_train"), _mbpp())
    write(place(folder, "generalist/gsm8k_train"), _gsm8k())
    write(place(folder, "advisor/gpteacher_roleplay"), _tips())
    write(place(folder, "advisor/halueval_ok"), [*_tips(), *_plain_questions()])
    write(
        place(folder, "advisor/koala_test_prompts"), [{"id": f"k{n}", "prompt": f"Rhyme on pot {n}"} for n in range(9)]
    )
    for name, rows in _facts().items():
        write(place(folder, name), rows)
    for name in HELD_OUT:
        place(folder, name).write_bytes(b"held out")
    return folder


def _facts() -> dict[str, list[dict[str, Any]]]:
    """Plain questions of three kinds, which come without documents."""
    return {
        "retrieval/medquad_qa": [
            {"question": f"What helps against ache {n}?", "answer": f"Rest helps. So does remedy {n}. Ask a doctor."}
            for n in range(9)
        ],
        "researcher/hotpotqa_dev": [
            {"question": f"Which river runs through town {n}?", "answer": f"river {n}"} for n in range(9)
        ],
        "researcher/strategyqa_train": [
            {
                "question": f"Could bird {n} swim?",
                "answer": ("yes", "no")[n % 2],
                "facts": [f"Bird {n} has webbed feet."],
            }
            for n in range(9)
        ],
    }


def _mbpp() -> list[dict[str, Any]]:
    tasks = ["Write a function to give it back.", "Do it.", "Write a python function to copy it."]
    return [
        *(
            {"answer": f"def f{n}(a):\r\n\treturn a", "tests": [f"assert f{n}(1) == 1"], "messages": said(text)}
            for n, text in enumerate(tasks)
        ),
        {"answer": "def (", "tests": ["assert f(1)"], "messages": said("Write a function to break.")},
    ]


def _gsm8k() -> list[dict[str, Any]]:
    return [
        {
            "question": f"Tom has {n} boxes of 4 nails. How many nails has he?",
            "answer": f"He has {n}*4 = <<{n}*4={n * 4}>>{n * 4} nails.\n#### {n * 4}",
        }
        for n in range(2, 12)
    ]


def _tips() -> list[dict[str, Any]]:
    good = (
        "Here is what helps most people:\n\n"
        "1. **Walk:** go out before breakfast and leave your phone at home.\n"
        "2. **Write:** put three lines about the day on paper each evening.\n"
        "3. **Call:** ring one old friend a week, even for five minutes.\n\n"
        "Start with whichever feels lightest, and keep it up until spring."
    )
    rows = [{"messages": said(f"Give me three tips, {n}."), "answer": good} for n in range(8)]
    return [*rows, {"messages": said("Hi"), "answer": "Short."}]


def _plain_questions() -> list[dict[str, Any]]:
    return [
        *({"messages": said(f"Why is clay pot {n} red?"), "answer": f" Iron, {n} grams of it. "} for n in range(20)),
        {"messages": said("Why is the sky so far away?"), "answer": "The document does not say."},
        {"messages": said("Why is this answer so long?"), "answer": "It goes on and on. " * 60},
        {"messages": said("Tell me why."), "answer": "It was ordered."},
    ]
