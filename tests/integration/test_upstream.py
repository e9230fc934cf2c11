"""An expert that is another server, in its Ray replica: it answers, and a client that leaves is gone there at once."""

import openai
import pytest

from tests.fakes.openai_server import FakeOpenAI, Refusal, event, words
from tests.helpers import until
from tests.integration.running import Moegate

pytestmark = pytest.mark.ray

CANCELS = 24


async def ask(sdk: openai.AsyncOpenAI) -> object:
    return await sdk.chat.completions.create(model="neighbour", messages=[{"role": "user", "content": "hello"}])


async def test_it_answers_and_breaks_in_our_words(sdk: openai.AsyncOpenAI, neighbour: FakeOpenAI) -> None:
    neighbour.script = words("Good", " day", usage=(4, 2))
    answer = await ask(sdk)
    assert answer.choices[0].message.content == "Good day"
    assert answer.usage.completion_tokens == 2
    neighbour.script = Refusal(400)
    with pytest.raises(openai.BadRequestError) as raised:
        await ask(sdk)
    assert "no: hello" not in str(raised.value)


async def test_a_client_that_leaves_is_gone_at_the_server(
    moegate: Moegate, sdk: openai.AsyncOpenAI, neighbour: FakeOpenAI
) -> None:
    neighbour.script = [event("a"), 60.0]
    neighbour.left.clear()
    for count in range(1, CANCELS + 1):
        stream = await sdk.chat.completions.create(
            model="neighbour", messages=[{"role": "user", "content": "hello"}], stream=True
        )
        async for chunk in stream:
            if chunk.choices and chunk.choices[0].delta.content:
                break
        await stream.close()
        await until(lambda n=count: len(neighbour.left) == n)
    assert neighbour.open == 0
