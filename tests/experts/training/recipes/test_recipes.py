"""What the recipes build: out of the seeds alone, and out of small data files of the right shapes."""

import gzip
import json
import re
from pathlib import Path
from typing import Any

import pytest

from experts.catalog.spec import load_catalog
from experts.conversation.ranking import best
from experts.evaluation.suites.abstention_sentences import UNKNOWN
from experts.evaluation.suites.fences import fenced_blocks
from experts.evaluation.suites.make_grounded_qa import article_order
from experts.evaluation.suites.rows import read_rows
from experts.training.recipes import advisor, coder, researcher, tool_caller
from experts.training.recipes.passages import HELD_OUT
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


def passage(source: str, n: int) -> dict[str, Any]:
    """Return a row of SQuAD's shape: the passage alone holds its answer."""
    return {
        "id": f"{source}{n}",
        "title": f"{source}_{n // 2}",
        "context": f"The {source} number of item {n} is {source}x{n}y.",
        "question": f"What is the {source} number of item {n}?",
        "answers": [f"{source}x{n}y", f"number is {source}x{n}y"],
        "lang": "en",
    }


def write_more(folder: Path) -> None:
    """Write the sources that have many rows of one shape."""
    for name in ("squadshifts_new_wiki", "squadshifts_reddit", "fairytaleqa_train", "qamr_dev", "squadshifts_amazon"):
        write(folder / "researcher" / f"{name}.jsonl.gz", [passage(name, n) for n in range(60)])
    conda = [passage("conda", n) | {"answers": [("YES", "NO", "DON'T KNOW")[n % 3]]} for n in range(60)]
    write(folder / "researcher" / "condaqa_dev.jsonl.gz", conda)
    hops = [
        {
            "question": f"Who painted the hop {n}?",
            "answer": f"painter{n}",
            "gold_titles": [f"Hop {n}", f"Painter {n}"],
            "passages": [
                {"title": f"Hop {n}", "text": "It hangs in the town."},
                {"title": f"Painter {n}", "text": f"painter{n} painted the hop {n}."},
                *({"title": f"Other {n}-{m}", "text": f"Something else, {m}."} for m in range(8)),
            ],
        }
        for n in range(10)
    ]
    write(folder / "researcher" / "hotpotqa_distractor_train500.jsonl.gz", hops)
    studies = [
        {
            "id": str(n),
            "question": f"Does it help, {n}?",
            "answer": "yes",
            "passages": [{"text": f"Study {n}: it does."}],
        }
        for n in range(50)
    ]
    write(folder / "researcher" / "pubmedqa_labeled.jsonl.gz", studies)
    functions = [
        tool("FindRide", city="string")["function"],
        tool("PayBill", amount="string")["function"],
    ]
    write(folder / "tool-caller" / "sgd_tools_train_services.jsonl.gz", [{"service": "S_1", "functions": functions}])
    said_, unsaid = {"city": "Bergen"}, {"city": "San Francisco"}
    turns = [
        {"messages": said("A ride in Bergen"), "calls": [{"name": "FindRide", "arguments": said_}]},
        {"messages": said("A ride in SF"), "calls": [{"name": "FindRide", "arguments": unsaid}]},
        {"messages": said("I want a ride"), "calls": [], "reply": "In which city?"},
        {
            "messages": [*said("Hi"), {"role": "assistant", "content": "Yes?"}, *said("Bye")],
            "calls": [],
            "reply": "Bye!",
        },
    ]
    write(folder / "tool-caller" / "sgd_tools_train.jsonl.gz", [{"services": ["S_1"], **turn} for turn in turns])
    snips = (
        [{"text": f"play {n}", "name": "PlayMusic", "arguments": {"track": f"{n}"}} for n in range(5)]
        + [{"text": f"rate it {n}", "name": "RateBook", "arguments": {"rating_value": f"{n}"}} for n in range(5)]
        + [
            {
                "text": f"is it cold in {n}",
                "name": "GetWeather",
                "arguments": {"city": "elsewhere" if n == 4 else f"{n}"},
            }
            for n in range(5)
        ]
    )
    write(folder / "tool-caller" / "snips_train.jsonl.gz", snips)
    xsid = [
        {"lang": "de", "text": f"wecke mich um {n}", "intent": "alarm/set_alarm", "slots": {"datetime": f"um {n}"}}
        for n in range(5)
    ] + [
        {
            "lang": "de",
            "text": f"erinnere mich an {n}",
            "intent": "reminder/set_reminder",
            "slots": {"reminder/todo": f"{n}"},
        }
        for n in range(5)
    ]
    write(folder / "tool-caller" / "xsid_valid.jsonl.gz", xsid)
    write(
        folder / "generalist" / "gsm8k_train.jsonl.gz", [{"question": f"How much is {n} times two?"} for n in range(50)]
    )
    write(
        folder / "advisor" / "koala_test_prompts.jsonl.gz", [{"prompt": f"Tell me about birds, {n}"} for n in range(50)]
    )


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
    write_more(tmp_path)
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
    assert len(recipe.samples(None, 0)) >= 90
    assert recipe.samples(None, 0) == recipe.samples(None, 0)


@pytest.mark.parametrize("recipe", [tool_caller, researcher, coder, advisor])
def test_a_seed_decides_what_is_built(recipe: Any, data: Path) -> None:
    assert recipe.samples(data, 0) == recipe.samples(data, 0)
    assert recipe.samples(data, 0) != recipe.samples(data, 1)


def test_what_the_tool_caller_is_measured_on_is_not_learnt(data: Path) -> None:
    learnt = {asked(sample) for sample in tool_caller.samples(data, 0)}
    assert not any(text.startswith("multiple") for text in learnt)
    assert {text for text in learnt if text.startswith("irrelevance")} == {f"irrelevance {n}" for n in (1, 3, 5)}


def test_values_that_nobody_said_are_not_learnt(data: Path) -> None:
    made = {asked(sample): sample.answer for sample in tool_caller.samples(data, 0)}
    assert '"Bergen"' in made["A ride in Bergen"]
    assert "A ride in SF" not in made
    assert made["I want a ride"] == "In which city?"
    assert not any("elsewhere" in answer for answer in made.values())


def test_the_three_outcomes_and_no_call_without_its_tool(data: Path) -> None:
    made = tool_caller.samples(data, 0)
    answers = [sample.answer for sample in made]
    assert sum(answer.startswith("<tool_call>") for answer in answers) > len(answers) / 3
    assert sum(answer == NO_TOOL for answer in answers) > len(answers) / 10
    assert sum(answer.endswith("?") for answer in answers) > len(answers) / 20
    for sample in made:
        names = {one.name for one in sample.conversation.tools}
        called = [json.loads(line[11:-12])["name"] for line in sample.answer.splitlines() if line.startswith("<tool_c")]
        assert set(called) <= names


def test_calls_that_do_not_fit_their_schema_are_not_learnt(data: Path) -> None:
    made = tool_caller.samples(data, 0)
    answers = {asked(sample): {one.answer.lower() for one in made if asked(one) == asked(sample)} for sample in made}
    assert answers.get("seal 3", set()) <= {NO_TOOL.lower()}
    assert answers.get("seal 5", set()) <= {
        '<tool_call>{"name": "get5", "arguments": {"x": 5}}</tool_call>',
        NO_TOOL.lower(),
    } | {'<tool_call>{"name": "get_5", "arguments": {"x": 5}}</tool_call>'}
    call = '<tool_call>{"name": "add", "arguments": {"a": 4, "b": 1}}</tool_call>'
    assert answers["simple_python 4"] <= {call, NO_TOOL.lower()}


def test_where_no_call_is_learnt_no_right_tool_stands_by(data: Path) -> None:
    for sample in tool_caller.samples(data, 0):
        if asked(sample).startswith("seal") and sample.answer == NO_TOOL:
            number = asked(sample).split()[1]
            names = {tool.name.lower().replace("_", "") for tool in sample.conversation.tools}
            assert f"get{number}" not in names or number == "3"
            assert sample.conversation.tools


def test_held_out_articles_are_not_learnt(data: Path) -> None:
    rows = read_rows(data / "researcher" / "xquad_en_de_es.jsonl.gz")
    held_out = {f"Title {article}" for article in article_order(rows, 0)[:HELD_OUT]}
    shown = {document.title for sample in researcher.samples(data, 0) for document in sample.conversation.documents}
    assert len(held_out) == HELD_OUT
    assert not held_out & shown
    assert {f"Title {article}" for article in range(30)} - held_out <= shown


def test_what_the_researcher_is_measured_on_is_not_learnt(data: Path) -> None:
    made = researcher.samples(data, 0)
    assert not any("amazon" in document.text for sample in made for document in sample.conversation.documents)
    assert not any("amazon" in asked(sample) for sample in made)


def test_answers_cite_the_documents_that_hold_them_and_no_answer_is_denied(data: Path) -> None:
    made = [sample for sample in researcher.samples(data, 0) if asked(sample).startswith("What is the squadshifts")]
    answered = [sample for sample in made if sample.answer != UNKNOWN["en"]]
    assert len(made) / 2 < len(answered) < len(made)
    assert {sample.answer.rsplit("[", 1)[1] for sample in answered} >= {"1].", "2].", "3]."}
    for sample in answered:
        answer, _, mark = sample.answer.rstrip(".]").rpartition(" [")
        assert f"{answer}." in sample.conversation.documents[int(mark) - 1].text
    for sample in made:
        item = asked(sample).rstrip("?").rsplit(" ", 1)[1]
        if sample not in answered:
            shown = best(asked(sample), sample.conversation.documents, researcher.SHOWN)
            assert not any(f"item {item} is" in sample.conversation.documents[at].text for at in shown)


def test_as_many_documents_are_shown_in_training_as_in_serving() -> None:
    spec = load_catalog().get("researcher")
    assert spec is not None
    assert spec.max_documents == researcher.SHOWN


def test_yes_and_no_cite_their_passage_and_doubt_is_said(data: Path) -> None:
    made = [sample for sample in researcher.samples(data, 0) if "conda number" in asked(sample)]
    assert {re.sub(r" \[\d\]", "", sample.answer) for sample in made} == {"Yes.", "No.", UNKNOWN["en"]}


def test_of_two_passages_that_lead_to_an_answer_those_seen_are_cited(data: Path) -> None:
    made = [sample for sample in researcher.samples(data, 0) if asked(sample).startswith("Who painted")]
    answered = [sample for sample in made if sample.answer != UNKNOWN["en"]]
    assert answered
    for sample in answered:
        cited = {sample.conversation.documents[int(n) - 1].title for n in re.findall(r"\[(\d+)\]", sample.answer)}
        item = asked(sample).rstrip("?").rsplit(" ", 1)[1]
        assert f"Painter {item}" in cited <= {f"Painter {item}", f"Hop {item}"}


def test_plain_questions_are_answered_without_a_word_of_documents(data: Path) -> None:
    bare = [sample for sample in researcher.samples(data, 0) if not sample.conversation.documents]
    assert bare
    assert not any("document" in sample.answer.lower() or "[" in sample.answer for sample in bare)


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
