"""moegate's own fields: a document may be written in three ways."""

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from protos import chat_pb2 as chat
from serve.doors.own_fields import Document, DocumentBody, to_documents

DOCUMENTS: TypeAdapter[DocumentBody] = TypeAdapter(Document)


@pytest.mark.parametrize("said", ["words", {"text": "words"}, {"content": "words"}])
def test_one_text_by_three_ways(said: Any) -> None:
    assert DOCUMENTS.validate_python(said).text == "words"


def test_text_wins_over_its_other_name() -> None:
    told = DOCUMENTS.validate_python({"text": "a", "content": "b", "title": "t", "url": "u"})
    assert (told.text, told.title, told.url) == ("a", "t", "u")


@pytest.mark.parametrize("said", [{}, {"title": "t"}, {"content": 7}, {"text": None, "content": "b"}, 7, None, []])
def test_what_has_no_text_is_none(said: Any) -> None:
    with pytest.raises(ValidationError):
        DOCUMENTS.validate_python(said)


def test_documents_in_the_cores_words() -> None:
    bodies = [DocumentBody(text="a"), DocumentBody(text="b", title="t", url="u")]
    assert to_documents(bodies) == [chat.Document(text="a"), chat.Document(text="b", title="t", url="u")]
    assert to_documents(None) == []
