"""Stop strings: none leaks, nothing is held longer than it must be, and token borders do not matter."""

from hypothesis import given
from hypothesis import strategies as st

from experts.stop_strings import StopMatcher

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
