"""Each kind of file is read into parts with titles and places; what cannot be read says why."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from experts.retrieval.read import UnreadableFile, parts_of

MARKDOWN = """# Guide
First line
second line.

## Install
```sh
# not a heading

run it
```
## Use
Ask.
"""
HTML = """<html><head><title>no</title><style>p {}</style></head><body>
<nav>menu</nav><h1>Guide &amp; more</h1>
<p>First <b>bold</b>
text.</p><script>var x = "<p>";</script>
<h2>Use</h2><ul><li>one<li>two</ul>
</body></html>"""


def found(folder: Path, name: str, content: str | bytes) -> list[tuple[str, str, int, str]]:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return [(part.text, part.place, part.line, part.title) for part in parts_of(path)]


def test_plain_text(tmp_path: Path) -> None:
    assert found(tmp_path, "a.txt", "\n\none\ntwo\n\n  \nthree") == [("one\ntwo", "", 3, ""), ("three", "", 7, "")]


def test_markdown(tmp_path: Path) -> None:
    assert found(tmp_path, "a.md", MARKDOWN) == [
        ("First line\nsecond line.", "", 2, "Guide"),
        ("```sh\n# not a heading\n\nrun it\n```", "", 6, "Guide › Install"),
        ("Ask.", "", 12, "Guide › Use"),
    ]


def test_html(tmp_path: Path) -> None:
    assert found(tmp_path, "a.HTML", HTML) == [
        ("First bold text.", "", 3, "Guide & more"),
        ("one", "", 5, "Guide & more › Use"),
        ("two", "", 5, "Guide & more › Use"),
    ]


def test_json_lines(tmp_path: Path) -> None:
    rows = '{"text": "one", "title": "T"}\n\n{"content": "two"}\n'
    assert found(tmp_path, "a.jsonl", rows) == [("one", "row 1", 0, "T"), ("two", "row 3", 0, "")]


def test_pdf(tmp_path: Path) -> None:
    raw = pdf_of("Hello page one", "And page two")
    assert [(text, place) for text, place, *_ in found(tmp_path, "a.pdf", raw)] == [
        ("Hello page one", "page 1"), ("And page two", "page 2"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.exe", b"", "only .txt, .md"),
        ("a.txt", b"\xff\xfe\x00", "not UTF-8"),
        ("a.pdf", b"no pdf", "no PDF that can be read"),
        ("a.jsonl", b"[1]", "a.jsonl:1: not a JSON object"),
        ("a.jsonl", b'{"text": "a"}\n{"text": 1}', "a.jsonl:2: 'text' is to be a text"),
    ],
)
def test_what_cannot_be_read_says_why(tmp_path: Path, name: str, content: bytes, words: str) -> None:
    with pytest.raises(UnreadableFile, match=words):
        found(tmp_path, name, content)


def pdf_of(*pages: str) -> bytes:
    """Write a PDF by hand: one line a page."""
    objects = [b"<< /Type /Catalog /Pages 2 0 R >>"]
    kids = " ".join(f"{4 + 2 * number} 0 R" for number in range(len(pages)))
    objects.append(f"<< /Type /Pages /Kids [{kids}] /Count {len(pages)} >>".encode())
    objects.append(b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>")
    for number, text in enumerate(pages):
        stream = f"BT /F1 12 Tf 72 720 Td ({text}) Tj ET".encode()
        font = "<< /Font << /F1 3 0 R >> >>"
        page = (
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents {5 + 2 * number} 0 R /Resources {font} >>"
        )
        objects += [page.encode(), b"<< /Length %d >>\nstream\n%s\nendstream" % (len(stream), stream)]
    out = io.BytesIO(b"%PDF-1.4\n")
    out.seek(0, io.SEEK_END)
    places = []
    for number, body in enumerate(objects, 1):
        places.append(out.tell())
        out.write(b"%d 0 obj\n%s\nendobj\n" % (number, body))
    start = out.tell()
    out.write(b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1))
    out.writelines(b"%010d 00000 n \n" % place for place in places)
    out.write(b"trailer << /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, start))
    return out.getvalue()
