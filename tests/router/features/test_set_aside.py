import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.features.set_aside import sets_aside

ASIDE = [
    "No translation this time: who wrote Emma?",
    "Not a poem today, I need a sum: 14% of 250.",
    "Forget the recipes for now. Write me a bash loop over files.",
    "Leave the grammar aside, what is a gerund?",
    "Off topic: how tall is Everest?",
    "Heute kein Gedicht. Was kostet ein Liter Milch im Schnitt?",
    "Nichts zu übersetzen: rechne 3/4 von 88.",
    "Pas de requête aujourd'hui, qui a inventé SQL ?",
    "Hoy nada de recetas, ayúdame con una carta.",
    "Oggi niente codice: chi era Galileo?",
    "Agora sem SQL: escreve um bilhete.",
    "Geen recept nu, hoe oud is de zon?",
    "Сегодня без стихов. Сколько будет 17*23?",
    "这次不用翻译，解释一下黑洞。",
]
AT_WORK = [
    "orders per month in 2024",
    "Could you translate the second sentence again?",
    "no idea why this fails, can you look?",
    "Write a poem about rain.",
    "What is the capital of Peru?",
    "sum of all invoices that are not paid",
    "not sure how to begin, help me",
]


@pytest.mark.parametrize("text", ASIDE)
def test_a_task_that_is_put_aside_is_heard(text: str) -> None:
    assert sets_aside(text)


@pytest.mark.parametrize("text", AT_WORK)
def test_ordinary_requests_put_nothing_aside(text: str) -> None:
    assert not sets_aside(text)


@given(st.text(max_size=300))
def test_any_text_is_read(text: str) -> None:
    assert sets_aside(text) in (True, False)
