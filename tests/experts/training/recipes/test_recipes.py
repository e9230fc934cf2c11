"""What the recipes build: out of the seeds alone, and out of small data files of the right shapes."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from experts.evaluation.suites.abstention_sentences import UNKNOWN
from experts.evaluation.suites.fences import fenced_blocks
from experts.evaluation.suites.make_grounded_qa import article_order
from experts.evaluation.suites.rows import read_rows
from experts.training.recipes import advisor, coder, researcher, tool_caller
from experts.training.recipes.sample import BadSample, Sample, read_seed
from experts.training.recipes.seed_files import read_seeds
from experts.training.recipes.tool_caller import NO_TOOL
from protos import chat_pb2

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


def said(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]


@pytest.fixture
def data(tmp_path: Path) -> Path:
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
    write(tmp_path / "tool-caller" / "seal_tools_dev.jsonl.gz", seal[:20])
    write(tmp_path / "tool-caller" / "seal_tools_in_domain.jsonl.gz", seal[20:])
    write(tmp_path / "tool-caller" / "bfcl.jsonl.gz", bfcl)
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
    write(tmp_path / "researcher" / "xquad_en_de_es.jsonl.gz", xquad)
    write(tmp_path / "researcher" / "beerqa_1000.jsonl.gz", beerqa)
    mbpp = [
        {"answer": f"def f{n}(a):\r\n\treturn a", "tests": [f"assert f{n}(1) == 1"], "messages": said(text)}
        for n, text in enumerate(["Write a function to give it back.", "Do it.", "Write a python function to copy it."])
    ] + [{"answer": "def (", "tests": ["assert f(1)"], "messages": said("Write a function to break.")}]
    write(tmp_path / "coder" / "mbpp_train.jsonl.gz", mbpp)
    good = (
        "Here is what helps most people:\n\n"
        "1. **Walk:** go out before breakfast and leave your phone at home.\n"
        "2. **Write:** put three lines about the day on paper each evening.\n"
        "3. **Call:** ring one old friend a week, even for five minutes.\n\n"
        "Start with whichever feels lightest, and keep it up until spring."
    )
    for name in ("gpteacher_roleplay", "halueval_ok"):
        rows = [{"messages": said(f"Give me three tips, {n}."), "answer": good} for n in range(8)]
        write(tmp_path / "advisor" / f"{name}.jsonl.gz", [*rows, {"messages": said("Hi"), "answer": "Short."}])
    return tmp_path


def asked(sample: Sample) -> str:
    return sample.conversation.messages[-1].content


@pytest.mark.parametrize("recipe", [tool_caller, researcher, coder, advisor])
def test_seeds_alone_are_enough_and_the_same_each_time(recipe: Any) -> None:
    assert len(recipe.samples(None, 0)) >= 180
    assert recipe.samples(None, 0) == recipe.samples(None, 0)


@pytest.mark.parametrize("recipe", [tool_caller, researcher, coder, advisor])
def test_a_seed_decides_what_is_built(recipe: Any, data: Path) -> None:
    assert recipe.samples(data, 0) == recipe.samples(data, 0)
    assert recipe.samples(data, 0) != recipe.samples(data, 1)


def test_what_the_tool_caller_is_measured_on_is_not_learnt(data: Path) -> None:
    learnt = {asked(sample) for sample in tool_caller.samples(data, 0)}
    assert not any(text.startswith("multiple") for text in learnt)
    assert {text for text in learnt if text.startswith("irrelevance")} == {f"irrelevance {n}" for n in (1, 3, 5)}


def test_calls_that_do_not_fit_their_schema_are_not_learnt(data: Path) -> None:
    made = {asked(sample): sample for sample in tool_caller.samples(data, 0)}
    assert "seal 3" not in made or made["seal 3"].answer == NO_TOOL
    assert made["seal 5"].answer in {'<tool_call>{"name": "get5", "arguments": {"x": 5}}</tool_call>', NO_TOOL}
    assert made["simple_python 4"].answer in {
        '<tool_call>{"name": "add", "arguments": {"a": 4, "b": 1}}</tool_call>',
        NO_TOOL,
    }


def test_where_no_call_is_learnt_no_right_tool_stands_by(data: Path) -> None:
    for sample in tool_caller.samples(data, 0):
        if asked(sample).startswith("seal") and sample.answer == NO_TOOL:
            number = asked(sample).split()[1]
            assert f"get{number}" not in {tool.name for tool in sample.conversation.tools}
            assert sample.conversation.tools


def test_held_out_articles_are_not_learnt(data: Path) -> None:
    rows = read_rows(data / "researcher" / "xquad_en_de_es.jsonl.gz")
    held_out = {f"Title {article}" for article in article_order(rows, 0)[: researcher.HELD_OUT]}
    shown = {document.title for sample in researcher.samples(data, 0) for document in sample.conversation.documents}
    assert len(held_out) == researcher.HELD_OUT
    assert not held_out & shown
    assert {f"Title {article}" for article in range(30)} - held_out <= shown


def test_answers_cite_the_documents_that_hold_them(data: Path) -> None:
    made = [sample for sample in researcher.samples(data, 0) if asked(sample).startswith("Which number")]
    answered = [sample for sample in made if sample.answer not in UNKNOWN.values()]
    assert 0 < len(answered) < len(made)
    for sample in answered:
        answer, _, mark = sample.answer.rstrip(".]").rpartition(" [")
        assert answer in sample.conversation.documents[int(mark) - 1].text
    for sample in made:
        if sample not in answered:
            number = asked(sample).rstrip("?").rsplit(" ", 1)[1]
            texts = [document.text for document in sample.conversation.documents]
            assert texts
            assert not any(f"article {number} in" in text for text in texts)


def test_every_document_of_several_is_cited(data: Path) -> None:
    made = [sample for sample in researcher.samples(data, 0) if asked(sample) == "Which colour has 0?"]
    assert made
    assert all(s.answer == UNKNOWN["en"] or (s.answer.startswith("Yes [") and s.answer.count("[") == 2) for s in made)


def test_code_is_written_anew_and_broken_code_left_out(data: Path) -> None:
    made = [sample for sample in coder.samples(data, 0) if "def f" in sample.answer and "`f" in sample.answer]
    assert len(made) == 3
    for sample in made:
        [block] = fenced_blocks(sample.answer)
        assert "\n    return a" in block.code
        assert "\r" not in sample.answer
    assert any(sample.answer.endswith("Call `f0(a)` to give it back.") for sample in made)


def test_pairs_differ_and_only_good_answers_are_chosen(data: Path) -> None:
    made = [sample for sample in advisor.samples(data, 0) if asked(sample).startswith("Give me three tips")]
    assert len(made) == 16
    assert all(sample.rejected and sample.rejected != sample.answer for sample in made)
    assert not any(sample.answer == "Short." for sample in advisor.samples(data, 0))


def test_seeds_keep_calls_results_and_documents() -> None:
    roles = {message.role for sample in read_seeds("tool-caller") for message in sample.conversation.messages}
    assert chat_pb2.ROLE_TOOL in roles
    assert any(len(sample.conversation.documents) > 1 for sample in read_seeds("researcher"))


@pytest.mark.parametrize(
    "row",
    [
        {},
        {"messages": [], "answer": "x"},
        {"messages": said("x"), "answer": " "},
        {"messages": [{"role": "robot", "content": "x"}], "answer": "x"},
        {"messages": said("x"), "calls": [{"name": "f"}]},
    ],
)
def test_a_row_of_another_shape_is_refused(row: dict[str, Any]) -> None:
    with pytest.raises(BadSample):
        read_seed(row)
