"""The code suite: which program is taken out of an answer, and what its tests say."""

from typing import Any

import pytest

from experts.evaluation.suites.coding import CodeSuite, build_program
from experts.evaluation.suites.rows import RowError
from experts.evaluation.suites.sandbox import Limits
from experts.evaluation.suites.suite import Reply

MBPP: dict[str, Any] = {
    "id": 11,
    "messages": [{"role": "user", "content": "Write a function that adds."}],
    "answer": "def add(a, b):\r\n    return a + b",
    "tests": ["assert add(1, 2) == 3", "assert add(0, BIG) == BIG"],
    "setup": "BIG = 10 ** 9",
}
HUMANEVAL: dict[str, Any] = {
    "task_id": "HumanEval/0",
    "prompt": 'from typing import List\n\n\ndef total(numbers: List[int]) -> int:\n    """Sum."""\n',
    "entry_point": "total",
    "canonical_solution": "    return sum(numbers)\n",
    "test": "def check(candidate):\n    assert candidate([1, 2]) == 3\n",
}


def judge(row: dict[str, Any], answer: str) -> dict[str, float]:
    suite = CodeSuite(Limits(cpu_s=1), timeout_s=60)
    verdict = dict(suite.judge(suite.read(row, 0), Reply(answer)))
    verdict.pop("confined", None)  # the kernel's to say
    return verdict


def test_the_tests_are_shown_with_the_task() -> None:
    case = CodeSuite().read(MBPP, 0)
    assert case.conversation.messages[-1].content == (
        "Write a function that adds.\n\nYour code should pass these tests:\n\n"
        "assert add(1, 2) == 3\nassert add(0, BIG) == BIG"
    )


def test_an_answer_in_one_block() -> None:
    assert judge(MBPP, f"```python\n{MBPP['answer']}\n```\nIt adds.") == {
        "pass@1": True, "one_block": True, "timeouts": False,
    }  # fmt: skip


def test_other_answers() -> None:
    assert judge(MBPP, MBPP["answer"]) == {"pass@1": True, "one_block": False, "timeouts": False}
    two = judge(MBPP, "```python\ndef add(a, b): return a + b\n```\nor\n```\nadd = sum\n```")
    assert two == {"pass@1": True, "one_block": False, "timeouts": False}
    assert not judge(MBPP, "```python\ndef add(a, b): return a - b\n```")["pass@1"]
    assert not judge(MBPP, "```python\ndef add(a, b): return a + b")["one_block"]  # cut off
    assert not judge(MBPP, "```python\nimport os\nos._exit(0)\n```")["pass@1"]
    assert not judge(MBPP, "")["pass@1"]


@pytest.mark.parametrize(
    "answer",
    [
        "    return sum(numbers)\n",
        "```python\n    return sum(numbers)\n```",
        "```python\ndef total(numbers: List[int]) -> int:\n    return sum(numbers)\n```",
        "```python\nfrom typing import List\n\ndef total(numbers: List[int]) -> int:\n    return sum(numbers)\n```",
    ],
)
def test_humaneval_takes_a_body_or_the_whole_function(answer: str) -> None:
    assert judge(HUMANEVAL, answer)["pass@1"]
    assert not judge(HUMANEVAL, answer.replace("sum", "len"))["pass@1"]


def test_helpers_before_the_function_of_a_prompt_are_kept() -> None:
    row = HUMANEVAL | {"prompt": "def half(x):\n    return x / 2\n\n\ndef total(numbers):\n"}
    program, tests = build_program(row, "def total(numbers):\n    return half(1)")
    assert program.startswith("def half(x)")
    assert program.count("def total(") == 1
    assert tests.endswith("check(total)")


@pytest.mark.parametrize("change", [{"tests": []}, {"tests": "assert"}, {"tests": [1]}, {"messages": None}])
def test_rows_of_another_shape_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(RowError):
        CodeSuite().read(MBPP | change, 0)
