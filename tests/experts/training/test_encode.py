from typing import Any

from experts.catalog.spec import ExpertSpec, load_catalog
from experts.training.batch import IGNORED, collate
from experts.training.encode import Encoded, Encoder
from experts.training.recipes.sample import Sample, ask
from protos import chat_pb2
from tests.experts.training.conftest import LetterTokenizer


def spec(system_prompt: str, **changes: Any) -> ExpertSpec:
    found = load_catalog().get("researcher")
    assert found is not None
    return found.model_copy(update={"system_prompt": system_prompt, **changes})


def letters(text: str) -> tuple[int, ...]:
    return tuple(3 + ord(character) % 61 for character in text)


def test_a_prompt_is_what_serving_sends_and_the_answer_ends_the_turn() -> None:
    encoded = Encoder(LetterTokenizer(), spec("Be brief."), 100).encode(Sample(ask("Hi"), "Yes"))
    assert encoded is not None
    assert encoded.prompt == letters("<system>Be brief.;<user>Hi;<assistant>")
    assert encoded.answer == (*letters("Yes"), 2)
    assert encoded.rejected == ()


def test_what_is_too_long_is_left_out_whole() -> None:
    encoder = Encoder(LetterTokenizer(), spec(""), 30)
    short, long = Sample(ask("Hi"), "Yes"), Sample(ask("Hi"), "Y" * 30)
    paired = Sample(ask("Hi"), "Yes", rejected="N" * 30)
    assert len(encoder.encode_all([short, long, paired])) == 1


def test_only_answers_are_labelled_and_padding_stands_behind() -> None:
    batch = collate([Encoded((5, 6, 7), (8, 2)), Encoded((5,), (9, 2))])
    assert batch["input_ids"].tolist() == [[5, 6, 7, 8, 2], [5, 9, 2, 0, 0]]
    assert batch["labels"].tolist() == [[IGNORED] * 3 + [8, 2], [IGNORED, 9, 2, IGNORED, IGNORED]]


def test_of_pairs_all_answers_come_first() -> None:
    batch = collate([Encoded((5,), (8, 2), (9, 2)), Encoded((6,), (7, 2), (4, 2))])
    assert batch["input_ids"].tolist() == [[5, 8, 2], [6, 7, 2], [5, 9, 2], [6, 4, 2]]


def test_as_many_documents_are_learnt_from_as_serving_shows() -> None:
    documents = [chat_pb2.Document(text=text) for text in ("ant", "bee", "cat")]
    encoder = Encoder(LetterTokenizer(), spec("", max_documents=1), 100)
    encoded = encoder.encode(Sample(ask("bee?", documents=documents), "[2]"))
    assert encoded is not None
    assert encoded.prompt == letters("<user>Document [2]: bee\n\nbee?;<assistant>")
