"""Every command of docs/deploy.md exists: its program's parser takes its options, the files that it names are there."""

import argparse
import importlib
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from experts.cluster.manifests import OVERLAYS
from serve import cli

ROOT = Path(__file__).resolve().parents[2]
HELM = os.environ.get("HELM") or shutil.which("helm")
KUBECTL = os.environ.get("KUBECTL") or shutil.which("kubectl")
ELSEWHERE = {"aws", "docker", "eksctl", "git", "openssl", "tr", "kustomize", "curl", "cd"}
"""Programs of others that no test has at hand; what they name of this repository is checked all the same."""


class Parsed(Exception):
    """The command line was understood; the command is not carried out."""


def commands() -> list[list[str]]:
    """Every command of the page's shell blocks, word by word."""
    text = (ROOT / "docs" / "deploy.md").read_text()
    found = []
    for block in re.findall(r"^```sh\n(.*?)^```", text, re.M | re.S):
        for line in re.sub(r"\\\n", " ", block).splitlines():
            words = shlex.split(line, comments=True)
            found += _split(words)
    return found


def _split(words: list[str]) -> list[list[str]]:
    parts: list[list[str]] = [[]]
    for word in words:
        if word in {"|", "&&"}:
            parts.append([])
        else:
            parts[-1].append(word.strip("()") if word.startswith("(") or word.endswith(")") else word)
    return [part for part in parts if part]


ALL = commands()


def of(program: str) -> list[list[str]]:
    return [words for words in ALL if words[0] == program]


def parse(monkeypatch: pytest.MonkeyPatch, main: object, argv: list[str]) -> None:
    """Let a command read its arguments and go no further."""
    original = argparse.ArgumentParser.parse_args

    def stop(self: argparse.ArgumentParser, args: list[str] | None = None, namespace: object = None) -> None:
        original(self, args)
        raise Parsed

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", stop)
    monkeypatch.setattr(sys, "argv", ["x", *argv])
    assert callable(main)
    with pytest.raises(Parsed):
        main(argv)


def named(words: list[str]) -> str:
    return " ".join(words)[:70]


def test_the_page_has_commands_of_known_programs() -> None:
    known = {"python", "moegate", "kubectl", "helm", "make", ".", "deploy/k8s/rollout.sh", *ELSEWHERE}
    assert {words[0] for words in ALL} <= known
    assert len(ALL) > 40


@pytest.mark.parametrize("words", of("python"), ids=named)
def test_our_modules_take_what_the_page_says(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert words[1] == "-m"
    given = ["1" if word == "N" else word for word in words[3:]]  # a figure that the reader fills in
    parse(monkeypatch, importlib.import_module(words[2]).main, given)


@pytest.mark.parametrize("words", of("moegate"), ids=named)
def test_moegate_takes_what_the_page_says(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    parse(monkeypatch, cli.main, words[1:])


@pytest.mark.parametrize("words", of("make"), ids=named)
def test_make_has_the_target(words: list[str]) -> None:
    assert re.search(rf"^{words[1]}:", (ROOT / "Makefile").read_text(), re.M)


@pytest.mark.parametrize("words", ALL, ids=named)
def test_the_files_that_it_names_are_there(words: list[str]) -> None:
    for word in words:
        if word.startswith(("deploy/", "docs/")) and not word.endswith("/"):
            for overlay in OVERLAYS:
                assert (ROOT / word.replace("OVERLAY", overlay)).exists(), word


@pytest.mark.skipif(KUBECTL is None, reason="kubectl is not installed")
@pytest.mark.parametrize("words", of("kubectl"), ids=named)
def test_kubectl_knows_the_verb_and_its_options(words: list[str]) -> None:
    """Its own help names every option; verbs and kinds are words before the first one."""
    at = words.index("-n") if "-n" in words else len(words)  # of every command: kubectl options
    rest = [*words[1:at], *words[at + 2 :]]
    verb = [rest[0], *([rest[1]] if rest[0] in {"create", "rollout"} else [])]
    verb += [rest[2]] if verb == ["create", "secret"] else []
    done = subprocess.run([str(KUBECTL), *verb, "--help"], capture_output=True, text=True, check=True)
    assert "Usage:" in done.stdout
    for option in (word.partition("=")[0] for word in rest if word.startswith("-") and word != "-"):
        assert re.search(rf"(^|\s|,){re.escape(option)}\b", done.stdout), (verb, option)


@pytest.mark.skipif(HELM is None, reason="no helm (make helm)")
@pytest.mark.parametrize("words", of("helm"), ids=named)
def test_helm_knows_the_verb_and_its_options(words: list[str]) -> None:
    verb = words[1:3] if words[1] == "repo" else words[1:2]
    done = subprocess.run([str(HELM), *verb, "--help"], capture_output=True, text=True, check=True)
    for option in (word.partition("=")[0] for word in words if word.startswith("-")):
        assert re.search(rf"(^|\s){re.escape(option)}\b", done.stdout), (verb, option)


@pytest.mark.skipif(HELM is None, reason="no helm (make helm)")
def test_the_page_s_values_are_the_chart_s(tmp_path: Path) -> None:
    """What the page installs renders; a value that the chart does not know would be passed over in silence."""
    [words] = [words for words in of("helm") if "deploy/helm/moegate" in words]
    values = [word for at, word in enumerate(words) if words[at - 1] == "--set"]
    import yaml

    known = yaml.safe_load((ROOT / "deploy" / "helm" / "moegate" / "values.yaml").read_text())
    for value in values:
        at = known
        for part in value.partition("=")[0].split("."):
            if at == {}:  # free: the gateway's own settings
                break
            assert part in at, value
            at = at[part]
    command = [str(HELM), "template", "m", str(ROOT / "deploy" / "helm" / "moegate"), "--kube-version", "1.34.0"]
    for value in values:
        command += ["--set", value]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "REGISTRY/moegate/gateway" in done.stdout
