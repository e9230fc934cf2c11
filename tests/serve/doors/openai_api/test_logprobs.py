"""Log probabilities in each of OpenAI's forms."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protos import chat_pb2 as chat
from serve.doors.openai_api.logprobs import TextLogprobs, chat_logprobs, token_objects, token_text, without_bytes

HOT = chat.TokenLogprob(token=b"hot", logprob=-0.25)
TOLD = chat.TokenLogprob(token=b" cold", logprob=-1.5, top=[HOT, chat.TokenLogprob(token=b" cold", logprob=-1.5)])


def test_chats_list_of_objects() -> None:
    assert chat_logprobs([TOLD]) == {
        "content": [
            {
                "token": " cold",
                "logprob": -1.5,
                "bytes": [32, 99, 111, 108, 100],
                "top_logprobs": [
                    {"token": "hot", "logprob": -0.25, "bytes": [104, 111, 116]},
                    {"token": " cold", "logprob": -1.5, "bytes": [32, 99, 111, 108, 100]},
                ],
            }
        ],
        "refusal": None,
    }


def test_events_of_responses_have_no_bytes() -> None:
    [told] = without_bytes(token_objects([TOLD]))
    assert told["top_logprobs"] == [{"token": "hot", "logprob": -0.25}, {"token": " cold", "logprob": -1.5}]
    assert "bytes" not in told


def test_completions_lists_count_on_from_piece_to_piece() -> None:
    told = TextLogprobs()
    assert told([HOT, TOLD]) == {
        "tokens": ["hot", " cold"],
        "token_logprobs": [-0.25, -1.5],
        "top_logprobs": [{"hot": -0.25}, {"hot": -0.25, " cold": -1.5}],
        "text_offset": [0, 3],
    }
    assert told([HOT])["text_offset"] == [8]


def test_the_chosen_token_is_among_the_likeliest_even_where_it_is_not() -> None:
    drawn = chat.TokenLogprob(token=b"odd", logprob=-7.0, top=[HOT])
    assert TextLogprobs()([drawn])["top_logprobs"] == [{"hot": -0.25, "odd": -7.0}]


def test_without_others_there_is_no_list_of_others() -> None:
    assert TextLogprobs()([HOT])["top_logprobs"] is None


@given(st.text(min_size=1), st.lists(st.integers(1, 4), min_size=1))
def test_offsets_are_characters_wherever_tokens_cut_them(text: str, sizes: list[int]) -> None:
    raw, pieces = text.encode(), []
    for size in sizes * len(text.encode()):
        if raw:
            pieces.append(raw[:size])
            raw = raw[size:]
    told = TextLogprobs()([chat.TokenLogprob(token=piece, logprob=-1) for piece in pieces])
    starts = [0, *(sum(map(len, pieces[: i + 1])) for i in range(len(pieces) - 1))]
    expected = [len(text.encode()[:start].decode(errors="ignore")) for start in starts]
    assert told["text_offset"] == expected


HALVES = [(b"\xc3", "bytes:\\xc3"), (b"\xe2\x82", "bytes:\\xe2\\x82")]


@pytest.mark.parametrize(("token", "text"), [(b"a", "a"), ("é".encode(), "é"), *HALVES])
def test_half_a_character_is_told_byte_by_byte(token: bytes, text: str) -> None:
    assert token_text(token) == text


def test_probabilities_stay_what_they_were() -> None:
    told = chat_logprobs([chat.TokenLogprob(token=b"x", logprob=math.log(0.5))])["content"][0]
    assert math.exp(told["logprob"]) == pytest.approx(0.5)
