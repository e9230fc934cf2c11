import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.features.featurize import query_from_openai
from router.features.no_code import strike
from router.router import Router

BANS = [
    "Don't write any code, just explain how a trie works.",
    "Please do not include code snippets. What is a semaphore?",
    "Without writing any code, tell me what a monad is.",
    "I don't want code, I want to understand pointers.",
    "no code please. why is insertion sort slow?",
    "Schreib bitte keinen Code, erklär nur, was ein Zeiger ist.",
    "Ohne Code: was ist ein Semaphor?",
    "N'écris pas de code, dis-moi ce qu'est un pointeur.",
    "Sans code, explique les arbres binaires.",
    "No escribas código, explica qué es un puntero.",
    "Sin código: ¿qué es un semáforo?",
    "Non scrivere codice, spiega i puntatori.",
    "Sem código, o que é um ponteiro?",
    "Geen code, leg uit wat een pointer is.",
    "Nie pisz kodu, wyjaśnij wskaźniki.",
    "Не пиши код, объясни, что такое указатель.",
    "Kod yazma, işaretçi nedir anlat.",
    "不要写代码，解释一下指针是什么。",
    "コードは書かないで、ポインタとは何か説明して。",
    "코드는 쓰지 말고 포인터가 뭔지 설명해줘.",
    "لا تكتب كود، اشرح ما هو المؤشر.",
    "कोड मत लिखो, समझाओ कि पॉइंटर क्या है।",
]
WANTED = [
    "Do not write code that allocates; write it with a static buffer in C.",
    "Write it without code duplication.",
    "no code comments please, a python function that reverses a list",
    "Which no-code platform exports to React?",
    "why does the script exit with no code coverage report",
    "Write a function that has no side effects.",
    "Don't explain, just give me the code.",
    "don't change the code, only rename the variable",
]


@pytest.mark.parametrize("text", BANS)
def test_a_ban_on_code_is_heard_and_taken_out(text: str) -> None:
    left, is_banned = strike(text)
    assert is_banned and len(left) < len(text)


@pytest.mark.parametrize("text", WANTED)
def test_code_that_is_wanted_stays(text: str) -> None:
    assert strike(text) == (text, False)


@given(st.text(max_size=400))
def test_any_text_is_read(text: str) -> None:
    left, is_banned = strike(text)
    assert is_banned or left == text


@pytest.mark.parametrize(
    "text", ["don't write any " * 5_000 + "code", "no " * 20_000 + "code", "не писать " * 8_000 + "код"]
)
def test_repetition_costs_no_more_than_its_length(text: str) -> None:
    strike(text)  # a pattern that backtracks over its repetitions would not come back


@pytest.mark.parametrize("text", BANS)
def test_the_shipped_router_does_not_call_the_coder(text: str) -> None:
    found = Router.load().gate.by_expert(query_from_openai([{"role": "user", "content": text}]))
    assert max(found, key=found.__getitem__) != "coder"
