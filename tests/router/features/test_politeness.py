import pytest

from router.features.politeness import unwrap


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("Hi there! could you tell me who built Petra? Thanks in advance!", "could you tell me who built Petra?"),
        ("Please help me with this: sort a list of dates pls", "sort a list of dates"),
        ("Hola, ¿quién pintó el Guernica? gracias", "¿quién pintó el Guernica?"),
        ("你好，请问光合作用的原理是什么呢？谢谢", "光合作用的原理是什么呢？"),
    ],
)
def test_politeness_is_taken_off(said: str, meant: str) -> None:
    assert unwrap(said).strip() == meant


@pytest.mark.parametrize(
    "text", ["hi there!", "please", "thanks a lot!", "Thanks", "", "dear diary, today I was alone"]
)
def test_what_is_all_there_is_stays(text: str) -> None:
    assert unwrap(text) == text


def test_hostile_lengths_are_looked_at_from_the_ends_only() -> None:
    assert len(unwrap("please " * 200_000)) > 1_000_000
