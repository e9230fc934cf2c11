"""Builds and runs deploy/Dockerfile.* without Docker: Linux's namespaces, and an overlay over this machine's root.

This machine stands in for the base image `python:3.11-slim`: it has a Python 3.11, and the rest of it is hidden as far
as it matters (the checkout and `/tmp` are empty inside). COPY, RUN, ENV, USER, WORKDIR, ENTRYPOINT and CMD are obeyed
word by word. Needs root, `unshare` and overlayfs.
"""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PYTHON = shutil.which("python3.11", path="/usr/local/bin:/usr/bin")
_SETUP = r"""
set -euo pipefail
mount --make-rprivate /
mkdir -p "$SCRATCH/work" "$SCRATCH/merged"
mount -t overlay overlay -o "lowerdir=/,upperdir=$UPPER,workdir=$SCRATCH/work" "$SCRATCH/merged"
cd "$SCRATCH/merged"
mount --rbind /dev dev
mount -t proc proc proc
mkdir -p ".$CHECKOUT"
mount -t tmpfs tmpfs ".$CHECKOUT"
for folder in $WRITABLE; do
    mkdir -p ".$folder"
    mount -t tmpfs -o mode=1777 tmpfs ".$folder"
done
for pair in $MOUNTED; do
    mkdir -p ".${pair#*=}"
    mount --bind "${pair%%=*}" ".${pair#*=}"
    mount -o remount,bind,ro ".${pair#*=}"
done
if [ -n "$READ_ONLY" ]; then mount -o remount,bind,ro .; fi
exec chroot . setpriv $IDENTITY env --ignore-environment --chdir="$FOLDER" "${@}"
"""


class CannotBuild(Exception):
    """A RUN failed; the message is its last words."""


def why_not() -> str | None:
    """Say why no image can be built here; None where one can."""
    if os.geteuid() != 0:
        return "building an image without Docker needs root"
    if not all(shutil.which(tool) for tool in ("unshare", "setpriv", "chroot", "ip")):
        return "there is no unshare, setpriv, chroot or ip"
    if PYTHON is None:
        return "there is no Python 3.11, which the images have, that every user may run"
    tried = subprocess.run(["unshare", "--mount", "--pid", "--net", "--fork", "true"], capture_output=True, check=False)
    return None if tried.returncode == 0 else "this machine allows no namespaces"


@dataclass(frozen=True)
class Image:
    """What a stage has made: the files beyond this machine's own, and how to start it."""

    upper: Path
    env: Mapping[str, str] = field(default_factory=dict)
    folder: str = "/"
    user: str = "0:0"
    entrypoint: Sequence[str] = ()
    cmd: Sequence[str] = ()
    labels: Mapping[str, str] = field(default_factory=dict)

    def command(
        self,
        scratch: Path,
        argv: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        writable: Sequence[str] = ("/tmp",),
        mounted: Mapping[Path, str] | None = None,
        read_only: bool = False,
    ) -> tuple[list[str], dict[str, str]]:
        """Return the command line and environment that run `argv` in this image.

        With `read_only` nothing but `writable` can be written, and that is lost.
        """
        scratch.mkdir(parents=True, exist_ok=True)
        uid, _, gid = self.user.partition(":")
        machine = {key: value for key, value in os.environ.items() if key.startswith("PIP_")}
        inside = {
            "PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
            "HOME": "/root",
            **machine,
            **self.env,
            **(env or {}),
        }
        inside["PATH"] = inside["PATH"].replace("$PATH", "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin")
        settings = {
            "UPPER": str(self.upper),
            "SCRATCH": str(scratch),
            "CHECKOUT": str(ROOT),
            "WRITABLE": " ".join(writable),
            "MOUNTED": " ".join(f"{here}={there}" for here, there in (mounted or {}).items()),
            "READ_ONLY": "yes" if read_only else "",
            "IDENTITY": f"--reuid={uid} --regid={gid} --clear-groups",
            "FOLDER": self.folder,
            "PATH": os.environ["PATH"],
        }
        given = [f"{key}={value}" for key, value in inside.items()]
        return [
            "unshare",
            "--mount",
            "--pid",
            "--fork",
            "--kill-child",
            "bash",
            "-c",
            _SETUP,
            "-",
            *given,
            *argv,
        ], settings

    def run(self, scratch: Path, shell: str) -> None:
        """Obey a RUN: what it writes stays in the image.

        Raises:
            CannotBuild: it failed.
        """
        (self.upper / self.folder.strip("/")).mkdir(parents=True, exist_ok=True)
        command, settings = self.command(scratch, ["/bin/sh", "-c", shell])
        done = subprocess.run(command, env=settings, capture_output=True, text=True, check=False)
        if done.returncode:
            raise CannotBuild(f"{shell.splitlines()[0]}: {done.stderr.strip()[-1500:] or done.stdout.strip()[-1500:]}")


def instructions(dockerfile: Path) -> Iterator[tuple[str, str]]:
    """Read a Dockerfile's instructions: verb and the rest, continuation lines joined, comments left out."""
    lines = (line for line in dockerfile.read_text().splitlines() if not line.lstrip().startswith("#"))
    for text in re.sub(r"\\\n", " ", "\n".join(lines)).splitlines():
        if text.strip():
            verb, _, rest = text.strip().partition(" ")
            yield verb, rest.strip()


def copied(dockerfile: Path) -> list[tuple[list[str], str]]:
    """List what is copied out of the checkout, and whereto."""
    rest = [rest.split() for verb, rest in instructions(dockerfile) if verb == "COPY" and not rest.startswith("--")]
    return [(parts[:-1], parts[-1]) for parts in rest]


def copy_into(sources: Sequence[str], target: Path, *, is_folder: bool) -> None:
    """Obey a COPY out of the checkout, without what no build may see."""
    ignored = shutil.ignore_patterns("__pycache__")
    for source in sources:
        path = ROOT / source
        if path.is_dir():
            shutil.copytree(path, target, ignore=ignored, dirs_exist_ok=True)
        else:
            place = target / path.name if is_folder else target
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, place)


def build(dockerfile: Path, folder: Path, instead: Mapping[str, str] | None = None) -> Image:
    """Build the last stage of a Dockerfile, and every stage that it copies from.

    Args:
        dockerfile: which one.
        folder: where the stages' files lie.
        instead: words of RUN lines, and what stands in for them, to save time.

    Raises:
        CannotBuild: a RUN failed.
    """
    builder = _Builder(folder, {"--no-cache-dir ": "", **(instead or {})})  # pip's cache is this machine's
    for verb, rest in instructions(dockerfile):
        getattr(builder, {"FROM": "from_"}.get(verb, verb.lower()))(rest)
    return builder.image


class _Builder:
    """Obeys instructions; one method each."""

    def __init__(self, folder: Path, instead: Mapping[str, str]) -> None:
        self.image = Image(folder / "none")
        self._folder = folder
        self._instead = instead

    def from_(self, rest: str) -> None:
        """Begin a stage; give it what the base image has and this machine may lack: `python` on the path."""
        self.image = Image(self._folder / (rest.partition(" AS ")[2] or "last"))
        (self.image.upper / "usr" / "local" / "bin").mkdir(parents=True)
        (self.image.upper / "usr" / "local" / "bin" / "python").symlink_to(str(PYTHON))

    def label(self, rest: str) -> None:
        self.image = replace(self.image, labels=_pairs(rest))

    def env(self, rest: str) -> None:
        self.image = replace(self.image, env={**self.image.env, **_pairs(rest)})

    def workdir(self, rest: str) -> None:
        self.image = replace(self.image, folder=rest)

    def user(self, rest: str) -> None:
        self.image = replace(self.image, user=rest, env={**self.image.env, "HOME": "/home/moegate"})

    def run(self, rest: str) -> None:
        scratch = self._folder / "scratch"
        for words, others in self._instead.items():
            rest = rest.replace(words, others)
        self.image.run(scratch, rest)
        shutil.rmtree(scratch)

    def copy(self, rest: str) -> None:
        *sources, target = rest.split()
        inside = target if target.startswith("/") else f"{self.image.folder}/{target}"
        into = self.image.upper / inside.strip("/")
        if not sources[0].startswith("--from="):
            copy_into(sources, into, is_folder=target.endswith("/"))
            return
        stage = self._folder / sources[0].removeprefix("--from=")
        into.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(["cp", "--archive", "--link", str(stage / sources[1].strip("/")), str(into)], check=True)

    def entrypoint(self, rest: str) -> None:
        self.image = replace(self.image, entrypoint=json.loads(rest))

    def cmd(self, rest: str) -> None:
        self.image = replace(self.image, cmd=json.loads(rest))

    def expose(self, rest: str) -> None:
        """Say nothing: ports need no opening here."""


def _pairs(rest: str) -> dict[str, str]:
    return dict(part.split("=", 1) for part in shlex.split(rest))


if __name__ == "__main__":
    print(build(Path(sys.argv[1]), Path(sys.argv[2])))
