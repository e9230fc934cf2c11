"""An event is one line of data, whatever it says."""

import json

from hypothesis import given
from hypothesis import strategies as st

from serve.doors.sse import named_event


@given(text=st.text())
def test_an_event_is_its_name_and_one_line(text: str) -> None:
    name, data, *rest = named_event("ping", {"text": text}).decode().split("\n")
    assert name == "event: ping"
    assert rest == ["", ""]
    assert len(data.splitlines()) == 1
    assert json.loads(data.removeprefix("data: ")) == {"text": text}
