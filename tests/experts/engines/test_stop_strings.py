"""Stop strings: none leaks, nothing is held longer than it must be, and token borders do not matter."""

from hypothesis import given
from hypothesis import strategies as st

from experts.engine import Markup
from experts.engines.stop_strings import StopMatcher, stop_matcher

LETTERS = st.text(alphabet="ab\n", max_size=30)
STOPS = st.lists(st.text(alphabet="ab\n", min_size=1, max_size=4), max_size=4)


def reference(text: str, stops: list[str]) -> tuple[str, bool]:
    """Cut at the first character where a stop string is complete; the longest one there counts."""
    for end in range(1, len(text) + 1):
        complete = [stop for stop in stops if text[:end].endswith(stop)]
        if complete:
            return text[: end - max(map(len, complete))], True
    return text, False


def run(matcher: StopMatcher, pieces: list[str]) -> str:
    return "".join(matcher.push(piece) for piece in pieces) + matcher.flush()


@given(LETTERS, STOPS, st.data())
def test_agrees_with_the_whole_text_however_it_is_cut(text: str, stops: list[str], data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=8)))
    pieces = [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    matcher = StopMatcher(stops)
    assert (run(matcher, pieces), matcher.stopped) == reference(text, stops)


@given(LETTERS, STOPS)
def test_holds_back_only_what_may_become_a_stop_string(text: str, stops: list[str]) -> None:
    wanted, stopped = reference(text, stops)
    if stopped:
        return
    held = len(text) - len(StopMatcher(stops).push(text))
    longest = max((n for stop in stops for n in range(len(stop)) if text.endswith(stop[:n]) and n), default=0)
    assert (wanted, held) == (text, longest)


def test_no_stop_strings_hold_nothing() -> None:
    assert StopMatcher([]).push("anything") == "anything"


def test_after_the_stop_nothing_leaves() -> None:
    matcher = StopMatcher(["END"])
    assert [matcher.push("say E"), matcher.push("ND more"), matcher.push("and more"), matcher.flush()] == [
        "say ",
        "",
        "",
        "",
    ]


def test_a_held_beginning_leaves_with_the_end() -> None:
    matcher = StopMatcher(["\n\nUser:"])
    assert matcher.push("Yes.\n\nUse") == "Yes."
    assert matcher.flush() == "\n\nUse"


CALL = '<tool_call>{"name": "f", "arguments": {"a": "x </tool_call> \\n"}}</tool_call>'
MARKUP = Markup("<tool_call>", "</tool_call>")


def cut(text: str, *stops: str, is_last: bool = False, size: int = 1) -> tuple[str, bool]:
    matcher = stop_matcher(stops, Markup(MARKUP.open, MARKUP.close, is_last))
    pieces = [text[at : at + size] for at in range(0, len(text), size)]
    return "".join(map(matcher.push, pieces)) + matcher.flush(), matcher.stopped


@given(st.sampled_from(['"', "{", "<", "<tool", ">", "name", "</tool_call>", "}", " ", "a", "\n"]), st.integers(1, 9))
def test_nothing_in_a_call_is_a_stop_string(stop: str, size: int) -> None:
    assert cut(CALL, stop, size=size) == (CALL, False)
    assert cut(f"{CALL}\n{CALL}", stop, size=size) == (f"{CALL}\n{CALL}", False)
    assert cut(f"{CALL}\nbut{stop}no", stop, size=size)[1]


def test_words_around_calls_are_stopped() -> None:
    assert cut(f"Well, END{CALL}", "END") == ("Well, ", True)
    assert cut(f"Well, EN{CALL}D", "END") == (f"Well, EN{CALL}D", False), "a stop string does not reach over a call"
    assert cut("3 <b", "<") == ("3 ", True)
    assert cut("3 <tool b", "<tool") == ("3 ", True)
    assert cut("3 <", "<") == ("3 ", True)


def test_the_first_call_may_be_the_last_word() -> None:
    assert cut(f"So: {CALL}\n{CALL}", is_last=True) == (f"So: {CALL}", True)
    assert cut("So.", is_last=True) == ("So.", False)


@given(st.text(alphabet="<tolca_>ab ", max_size=30), STOPS, st.integers(1, 5))
def test_without_a_call_it_is_as_ever(text: str, stops: list[str], size: int) -> None:
    if MARKUP.open not in text:
        assert cut(text, *stops, size=size) == reference(text, stops)
