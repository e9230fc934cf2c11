"""docs/adding-a-policy.md works as it is written: its steps in a copy of the checkout give a fourth `router.kind`."""

import json
from pathlib import Path

import pytest

from tests.followed_page import edited, follow, run


@pytest.mark.slow
def test_the_page(tmp_path: Path) -> None:
    done = follow("adding-a-policy.md", tmp_path)
    assert {*done} == {
        "router/policy/length.py",
        "serve/routing/kinds.py",
        "gateway.yaml",
        "tests/router/policy/test_length.py",
    }
    for text, expert in (("Who wrote it?", "researcher"), ("x = 1\n" * 100, "coder")):
        decision = json.loads(run(tmp_path, "serve.cli", "route", text, "--config", "gateway.yaml", "--json"))
        assert (decision["expert"], decision["reason"]) == (expert, "classified")
        assert (decision["confidence"], decision["router_version"]) == (0.5, "length")
    run(tmp_path, "pytest", "-p", "no:cacheprovider", "tests/router/policy/test_length.py")
    assert "no mistake" in run(tmp_path, "serve.cli", "config", "check", "gateway.yaml")


def test_an_edit_that_does_not_fit_fails() -> None:
    assert edited("a\nb\nc\n", " b\n+x\n") == "a\nb\nx\nc\n"
    assert edited("a\nb\nc\n", "-b\n+x\n") == "a\nx\nc\n"
    for text in ("a\n", "b\nb\n"):
        with pytest.raises(AssertionError, match="times"):
            edited(text, " b\n+x\n")
