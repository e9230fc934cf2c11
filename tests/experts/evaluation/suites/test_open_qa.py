"""Questions without documents."""

import pytest

from experts.evaluation.suites.open_qa import OpenQASuite
from experts.evaluation.suites.rows import RowError
from experts.evaluation.suites.suite import Reply


def judge(said: str) -> dict[str, float]:
    suite = OpenQASuite()
    return dict(suite.judge(suite.read({"question": "Who wrote it?", "answer": ["Ada Lovelace"]}, 0), Reply(said)))


def test_a_right_answer() -> None:
    verdict = judge("It was Ada Lovelace.")
    assert (verdict["match"], verdict["answered"], verdict["no_documents"]) == (True, True, True)


def test_not_knowing_is_no_match_even_with_the_words_in_it() -> None:
    verdict = judge("The documents do not say whether Ada Lovelace wrote it.")
    assert (verdict["match"], verdict["answered"], verdict["no_documents"]) == (False, False, False)


def test_citing_what_was_not_given_is_a_word_of_documents() -> None:
    assert judge("Ada Lovelace [1].")["no_documents"] is False


@pytest.mark.parametrize("row", [{"question": "Who?"}, {"answers": ["Ada"]}, {"question": "Who?", "answers": [1]}])
def test_a_row_of_another_shape_is_refused(row: dict[str, object]) -> None:
    with pytest.raises(RowError):
        OpenQASuite().read(row, 0)
