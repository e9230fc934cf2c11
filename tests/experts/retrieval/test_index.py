"""A collection follows its files; a run that is killed leaves it as it was, and the next one goes on."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from experts.encoders.encoder import Encoding, Role
from experts.retrieval.index import Indexer, Report, remove
from experts.retrieval.late import packed
from experts.retrieval.read import UnreadableFile
from experts.retrieval.store import About, StoreError
from experts.retrieval.stores import open_store

ABOUT = About("letters", "hash", 26)


class Letters:
    """An encoder that counts letters."""

    dimensions, max_tokens, artifact = 26, 1000, "hash"

    def __init__(self) -> None:
        self.texts: list[str] = []

    def encode(
        self, texts: Sequence[str], role: Role, *, with_tokens: bool = False, truncate: bool = False
    ) -> Encoding:
        self.texts += texts
        counts = np.array([[text.lower().count(chr(97 + place)) for place in range(26)] for text in texts], np.float32)
        pooled = (counts + 1e-3) / np.linalg.norm(counts + 1e-3, axis=1, keepdims=True)
        words = [[ord(word[0]) % 26 for word in text.lower().split()] for text in texts]
        tokens = tuple(np.eye(26, dtype=np.float32)[rows] for rows in words) if with_tokens else ()
        return Encoding(pooled, tuple(len(text.split()) for text in texts), tokens)


class Folder:
    """A folder of documents and the collection of them."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.documents = root / "documents"
        self.documents.mkdir()
        self.store = open_store(str(root / "store"))
        self.encoder = Letters()

    def write(self, name: str, text: str) -> None:
        path = self.documents / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)

    def index(self, *paths: Path, about: About = ABOUT) -> Report:
        indexer = Indexer(self.store, "c", about, self.encoder, self.root / "spool")
        return indexer.index(paths or [self.documents])

    @property
    def names(self) -> set[str]:
        return {Path(name).name for name in self.store.files("c")}


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    made = Folder(tmp_path)
    made.write("cats.md", "# Cats\nThey purr.")
    made.write("more/dogs.txt", "They bark.")
    made.write(".hidden.txt", "unseen")
    made.write("picture.png", "unseen")
    return made


def test_what_is_new_changed_or_gone(folder: Folder) -> None:
    assert folder.index() == Report(2, 0, 0, 0, 2, 0, ())
    assert folder.index() == Report(0, 0, 2, 0, 0, 0, ())
    folder.write("cats.md", "# Cats\nThey sleep.\n# Kittens\nThey play.")
    folder.write("birds.html", "<p>They sing.")
    (folder.documents / "more" / "dogs.txt").unlink()
    assert folder.index() == Report(1, 1, 0, 1, 3, 0, ())
    assert folder.names == {"cats.md", "birds.html"}
    assert folder.store.count("c") == 3
    assert folder.store.by_words("c", "purr bark", 5) == []
    assert folder.encoder.texts[-1] == "Kittens\nThey play."


def test_a_file_beside_the_folders_named_stays(folder: Folder) -> None:
    folder.index()
    folder.index(folder.documents / "more")
    assert folder.names == {"cats.md", "dogs.txt"}
    with pytest.raises(UnreadableFile, match="no such file or folder"):
        folder.index(folder.documents / "none.md")


def test_files_are_removed_by_name(folder: Folder) -> None:
    folder.index()
    [dogs] = [name for name in folder.store.files("c") if name.endswith("dogs.txt")]
    assert remove(folder.store, "c", [dogs, "unknown.md"], folder.root / "spool") == 1
    assert folder.names == {"cats.md"}


def test_a_file_that_cannot_be_read_harms_no_other(folder: Folder) -> None:
    folder.index()
    (folder.documents / "cats.md").write_bytes(b"\xff\xfe")
    folder.write("new.txt", "Fresh.")
    report = folder.index()
    assert (report.added, report.changed) == (1, 0)
    assert "cats.md: not UTF-8" in report.unreadable[0]
    assert folder.names == {"cats.md", "dogs.txt", "new.txt"}


def test_two_runs_do_not_mix(folder: Folder) -> None:
    class Reentrant(Letters):
        def encode(
            self, texts: Sequence[str], role: Role, *, with_tokens: bool = False, truncate: bool = False
        ) -> Encoding:
            with pytest.raises(StoreError, match="another run is at the collection 'c'"):
                folder.index()
            return Letters.encode(self, texts, role)

    Indexer(folder.store, "c", ABOUT, Reentrant(), folder.root / "spool").index([folder.documents])
    assert folder.names == {"cats.md", "dogs.txt"}


KILLED = """
    import os, signal, sys
    from dataclasses import replace
    from pathlib import Path
    from tests.experts.retrieval.test_index import ABOUT, Letters
    from experts.retrieval.index import Indexer
    from experts.retrieval.stores import open_store

    root, at = Path(sys.argv[1]), sys.argv[2]

    def die():
        os.kill(os.getpid(), signal.SIGKILL)

    class Mortal(Letters):
        def encode(self, texts, role, **options):
            if len(self.texts) >= 64 and at == "encoding":
                die()
            return super().encode(texts, role, **options)

    store = open_store(str(root / "store"))
    if at == "committing":  # what the commit has to write is being written
        import lancedb.merge
        whole = lancedb.merge.LanceMergeInsertBuilder.execute
        def execute(builder, rows, *more, **others):
            import threading
            threading.Timer(float(sys.argv[3]), die).start()
            return whole(builder, rows, *more, **others)
        lancedb.merge.LanceMergeInsertBuilder.execute = execute
    about = replace(ABOUT, late=int(sys.argv[4]))
    Indexer(store, "c", about, Mortal(), root / "spool").index([root / "documents"])
    die()
"""


def killed(folder: Folder, at: str, after_s: float = 0.0, late: int = 0) -> None:
    """Index in another process, which is killed at a moment."""
    arguments = [sys.executable, "-c", textwrap.dedent(KILLED), str(folder.root), at, str(after_s), str(late)]
    done = subprocess.run(arguments, check=False, capture_output=True, text=True, cwd=Path(__file__).parents[3])
    assert done.returncode == -signal.SIGKILL, done.stderr


def many(folder: Folder, word: str) -> None:
    for number in range(10):
        rows = "\n\n".join(f"{word} {number} {row} " + "filling words " * 55 for row in range(20))
        folder.write(f"f{number}.txt", rows)


def test_killed_while_encoding_leaves_the_old_and_goes_on(folder: Folder) -> None:
    folder.index()
    many(folder, "newly")
    killed(folder, "encoding")
    folder.store = open_store(str(folder.root / "store"))
    assert (folder.names, folder.store.count("c")) == ({"cats.md", "dogs.txt"}, 2)
    report = folder.index()
    assert (report.added, report.passages, report.reused) == (10, 200, 64)
    assert len(folder.encoder.texts) == 2 + 200 - 64
    assert folder.store.count("c") == 202
    assert not list((folder.root / "spool").glob("*.npy"))


@pytest.mark.parametrize("after_s", [0.0, 0.005, 0.02, 0.08])
def test_killed_while_committing_leaves_the_old_or_the_new(folder: Folder, after_s: float) -> None:
    many(folder, "old")
    folder.index()
    many(folder, "newly")
    killed(folder, "committing", after_s)
    store = open_store(str(folder.root / "store"))
    found = store.by_words("c", "newly", 500), store.by_words("c", "old", 500)
    assert (len(found[0]), len(found[1])) in {(200, 0), (0, 200)}
    assert store.count("c") == 202
    folder.store = store
    folder.index()
    assert (len(store.by_words("c", "newly", 500)), store.by_words("c", "old", 500)) == (200, [])


LATE = replace(ABOUT, late=8)


def test_token_vectors_follow_the_files_along_the_first_axes(folder: Folder) -> None:
    folder.index(about=LATE)
    axes = folder.store.axes("c")
    assert axes is not None
    assert axes.shape == (26, 8)
    folder.write("birds.txt", "They sing songs.")
    folder.index(about=LATE)
    np.testing.assert_array_equal(folder.store.axes("c"), axes)
    hits = folder.store.by_meaning("c", np.ones(26, np.float32), 10)
    packs = folder.store.tokens("c", [hit.passage.id for hit in hits])
    for hit in hits:
        [tokens] = Letters().encode([hit.passage.words], Role.PASSAGE, with_tokens=True).tokens
        np.testing.assert_array_equal(packs[hit.passage.id], packed(tokens, axes))
    assert remove(folder.store, "c", [hits[0].passage.file], folder.root / "spool") == 1
    assert folder.store.tokens("c", [hits[0].passage.id]) == {}


def test_killed_while_encoding_token_vectors_it_goes_on_with_those_that_there_are(folder: Folder) -> None:
    many(folder, "newly")
    killed(folder, "encoding", late=8)  # the passages that tell the axes have been read, and no slice
    killed(folder, "encoding", late=8)  # one slice
    folder.store = open_store(str(folder.root / "store"))
    assert folder.store.names() == ()
    report = folder.index(about=LATE)
    assert (report.passages, report.reused) == (202, 64)
    assert len(folder.encoder.texts) == 202 - 64
    hits = folder.store.by_meaning("c", np.ones(26, np.float32), 300)
    assert len(folder.store.tokens("c", [hit.passage.id for hit in hits])) == 202
    assert not list((folder.root / "spool").glob("*.npy"))
