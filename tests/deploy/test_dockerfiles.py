"""The images: linted, pinned, nobody's root; every Ray node of one Python."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
FILES = sorted(DEPLOY.glob("Dockerfile.*"))
HADOLINT = shutil.which("hadolint", path=str(Path(sys.executable).parent)) or shutil.which("hadolint")


def test_all_are_there() -> None:
    assert [file.suffix for file in FILES] == [".expert-cpu", ".expert-neuron", ".flywheel", ".gateway", ".training"]


@pytest.mark.skipif(HADOLINT is None, reason="hadolint is not installed")
@pytest.mark.parametrize("file", FILES, ids=lambda file: file.suffix)
def test_hadolint_has_nothing_to_say(file: Path) -> None:
    done = subprocess.run([str(HADOLINT), str(file)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.suffix)
def test_nobody_is_root_and_no_tag_moves(file: Path) -> None:
    text = file.read_text()
    assert re.findall(r"^USER (.+)$", text, re.MULTILINE)[-1] == "10001:10001"
    images = re.findall(r"^FROM (\S+)", text, re.MULTILINE)
    assert all(re.search(r":\d+\.\d+\.\d+", image) for image in images)


def test_all_images_have_one_python() -> None:
    images = {image for file in FILES for image in re.findall(r"^FROM (\S+)", file.read_text(), re.MULTILINE)}
    assert {image for image in images if not image.startswith("moegate/")} == {"python:3.11.14-slim-bookworm"}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.suffix)
def test_what_is_copied_exists(file: Path) -> None:
    for sources in re.findall(r"^COPY (?!--from)(.+) \S+$", file.read_text(), re.MULTILINE):
        for source in sources.split():
            assert (DEPLOY.parent / source).exists(), source
