"""The `code` suite: does the program in the answer pass its tests, and is it in exactly one fenced block?

Reads MBPP rows `{messages, tests, setup?}` and HumanEval's own `{task_id, prompt, entry_point, test}`. As the MBPP
paper does (Austin et al. 2021), the tests are shown with the task, because nothing else names the function. One greedy
answer a row, so `pass@1` is the share that passes (Chen et al. 2021, section 2.1, n = k = 1).

Scores: `pass@1`; `one_block`, the share of answers with exactly one fenced block, closed; `timeouts`; `confined`, the
share of runs inside the kernel's confinement (`sandbox_child`), 1 where Landlock and seccomp exist.
"""

from __future__ import annotations

from collections.abc import Sequence

from experts.evaluation.suites.fences import fenced_blocks
from experts.evaluation.suites.rows import Row, RowError
from experts.evaluation.suites.sandbox import Limits, run_tests
from experts.evaluation.suites.scores import Score, Verdict
from experts.evaluation.suites.suite import Case, Reply, field, read_messages
from protos import chat_pb2

TIMEOUT_S = 60.0  # of the clock, for what sleeps or waits; a busy machine must not fail a right program by it


class CodeSuite:
    """Implements `experts.evaluation.suites.suite.Suite`."""

    def __init__(self, limits: Limits | None = None, timeout_s: float = TIMEOUT_S) -> None:
        self._limits = limits or Limits()
        self._timeout_s = timeout_s

    def read(self, row: Row, index: int) -> Case:
        """Turn a row of MBPP or HumanEval into a case."""
        name = str(row.get("task_id", row.get("id", index)))
        if "entry_point" in row:
            for wanted in ("prompt", "entry_point", "test"):
                field(row, wanted, str, name)
            messages = [chat_pb2.Message(role=chat_pb2.ROLE_USER, content=completion_request(row["prompt"]))]
        else:
            messages = read_messages(row, name)
            tests = field(row, "tests", list, name)
            if not tests or not all(isinstance(test, str) for test in tests):
                raise RowError(f"{name}: tests are missing, or are no texts")
            messages[-1].content = task_request(messages[-1].content, tests)
        return Case(name, chat_pb2.Conversation(messages=messages), row)

    def judge(self, case: Case, reply: Reply) -> Verdict:
        """Run the program of an answer and its tests."""
        blocks = fenced_blocks(reply.text)
        program, tests = build_program(case.row, blocks[0].code if blocks else reply.text)
        outcome = run_tests(program, tests, self._limits, self._timeout_s)
        verdict = {
            "pass@1": outcome.passed,
            "one_block": len(blocks) == 1 and blocks[0].is_closed,
            "timeouts": outcome.reason == "timeout",
        }
        return verdict | ({"confined": {"landlock", "seccomp"} <= set(outcome.guards)} if outcome.guards else {})

    def overall(self, cases: Sequence[Case], replies: Sequence[Reply], seed: int) -> dict[str, Score]:
        """Return nothing: every score is a mean of verdicts."""
        return {}


def task_request(task: str, tests: Sequence[str]) -> str:
    """Return what the expert is asked for a task with tests."""
    return f"{task}\n\nYour code should pass these tests:\n\n" + "\n".join(tests)


def completion_request(prompt: str) -> str:
    """Return what the expert is asked for a function that is to be completed."""
    return f"Complete this Python function. Give the whole function.\n\n```python\n{prompt.rstrip()}\n```"


def build_program(row: Row, code: str) -> tuple[str, str]:
    """Return the program and the tests to run after it."""
    if "entry_point" not in row:
        return f"{row.get('setup') or ''}\n{code}", "\n".join(row["tests"])
    name, prompt = row["entry_point"], row["prompt"]
    tests = f"{row['test']}\ncheck({name})"
    if f"def {name}(" in code:  # the whole function: what stands before it in the prompt may be imports it needs
        return f"{prompt.partition(f'def {name}(')[0]}\n{code}", tests
    return f"{prompt}\n{code}", tests
