"""Instructor, which makes models of answers: by tools, by a schema, by JSON in words, and over Responses.

It has an environment of its own (`apart/instructor.txt`): it wants an older client of OpenAI's than the others.
"""

from typing import Any

import instructor
import openai
from instructor import Mode
from pydantic import BaseModel, Field

from tests.clients.harness import KEY, Client

CLIENT = Client("instructor")


class Place(BaseModel):
    """A place."""

    city: str
    people: int = Field(gt=0)


OSLO = {"city": "Oslo", "people": 1}  # what it makes is of a class of its own, derived from ours


def client(url: str, mode: Mode) -> Any:
    return instructor.from_openai(openai.OpenAI(base_url=f"{url}/v1", api_key=KEY, max_retries=0), mode=mode)


def asked(**options: Any) -> dict[str, Any]:
    messages = [{"role": "user", "content": "where?"}]
    return {"model": "auto", "messages": messages, "response_model": Place, "max_retries": 0, **options}


@CLIENT.check("chat")
def chat(url: str) -> None:
    answer = client(url, Mode.TOOLS).chat.completions.create(**asked(response_model=None))
    assert answer.choices[0].message.content == "You said: where?"


@CLIENT.check("stream")
def stream(url: str) -> None:
    for mode in (Mode.TOOLS, Mode.JSON_SCHEMA):
        *_, last = client(url, mode).chat.completions.create_partial(**asked())
        assert (last.city, last.people) == ("Oslo", 1)


@CLIENT.check("tools")
def tools(url: str) -> None:
    for mode in (Mode.TOOLS, Mode.TOOLS_STRICT):
        assert client(url, mode).chat.completions.create(**asked()).model_dump() == OSLO


@CLIENT.check("schema")
def schema(url: str) -> None:
    for mode in (Mode.JSON_SCHEMA, Mode.JSON):
        place, raw = client(url, mode).chat.completions.create_with_completion(**asked())
        assert place.model_dump() == OSLO
        assert raw.usage.completion_tokens > 0


@CLIENT.check("errors")
def errors(url: str) -> None:
    try:
        client(url, Mode.TOOLS).chat.completions.create(**asked(model="nobody"))
    except Exception as error:  # it wraps the client's own
        assert "model_not_found" in str(error), error
    else:
        raise AssertionError("no error")


@CLIENT.check("responses")
def responses(url: str) -> None:
    assert client(url, Mode.RESPONSES_TOOLS).chat.completions.create(**asked()).model_dump() == OSLO


if __name__ == "__main__":
    CLIENT.main()
