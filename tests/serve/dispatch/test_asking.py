"""Who may hand a request back, what each expert is told before and after, and what becomes of the ranking."""

from typing import Any

import pytest

from protos import chat_pb2 as chat
from router.decision import Reason, RouteDecision
from router.policy.decide import ExpertState
from serve.dispatch.asking import Asking
from serve.dispatch.hand_back import handed_back_by
from tests.helpers import chat_request, route_decision


def conversation() -> chat.Conversation:
    message = chat.Message(role=chat.ROLE_USER, content="What time is it?")
    return chat.Conversation(messages=[message], tools=[chat.Tool(name="get_time", description="the time")])


def state(name: str, *, healthy: bool = True) -> ExpertState:
    return ExpertState(name, 1000, healthy, 0, 1, 0.0)


@pytest.mark.parametrize(
    ("down", "ranking", "reason"),
    [
        ((), ("coder", "advisor", "tool-caller"), Reason.HANDED_BACK),
        (("advisor",), ("coder", "tool-caller", "advisor"), Reason.HANDED_BACK),
        (("coder", "advisor"), ("tool-caller", "coder", "advisor"), Reason.UNHEALTHY),
    ],
)
def test_who_handed_back_is_the_last_resort(down: tuple[str, ...], ranking: tuple[str, ...], reason: Reason) -> None:
    states = [state(name, healthy=name not in down) for name in ("coder", "advisor", "tool-caller")]
    decision = handed_back_by("tool-caller", route_decision("coder", "advisor"), states)
    assert tuple(candidate.expert for candidate in decision.ranking) == ranking
    assert decision.reason is reason
    assert decision.confidence == decision.ranking[0].probability


def test_a_canary_that_handed_back_is_not_put_first_again() -> None:
    words = route_decision("next", "coder", "advisor")  # as `with_canary` makes it
    decision = handed_back_by("next", words, [state(name) for name in ("next", "coder", "advisor")])
    assert [candidate.expert for candidate in decision.ranking] == ["coder", "advisor", "next"]


@pytest.mark.parametrize(
    ("mode", "choice"),
    [
        (chat.ToolChoice.MODE_UNSPECIFIED, True),
        (chat.ToolChoice.MODE_AUTO, True),
        (chat.ToolChoice.MODE_NONE, False),
        (chat.ToolChoice.MODE_REQUIRED, False),
        (chat.ToolChoice.MODE_NAMED, False),
    ],
)
def test_when_there_is_a_choice(mode: chat.ToolChoice.Mode, choice: bool) -> None:
    asked = conversation()
    asked.tool_choice.mode = mode
    assert chat_request(input=asked).may_call_tools is choice
    assert not chat_request(input="None of the tools").may_call_tools
    assert not chat_request().may_call_tools


def asking(
    *experts: str,
    reason: Reason = Reason.CLASSIFIED,
    hands_back: tuple[str, ...] = ("tools", "next"),
    calls_none: tuple[str, ...] = (),
    mode: chat.ToolChoice.Mode | None = None,
) -> Asking:
    def never(expert: str) -> RouteDecision:
        raise AssertionError

    asked = conversation()
    if mode is not None:
        asked.tool_choice.mode = mode
    decision = route_decision(*experts, reason=reason)
    return Asking(chat_request(input=asked), decision, frozenset(hands_back), frozenset(calls_none), never)


def test_leave_to_hand_back() -> None:
    assert asking("tools", "coder").may_hand_back("tools")
    assert asking("next", "tools", "coder").may_hand_back("tools"), "it stands in for its canary"
    assert not asking("tools", "coder").may_hand_back("coder"), "it never does"
    assert not asking("coder", "tools").may_hand_back("tools"), "it stands in for one that the words asked for"
    assert not asking("tools").may_hand_back("tools"), "nobody else is there"
    assert not asking("tools", "coder", reason=Reason.PINNED).may_hand_back("tools")


def is_shown_tools(one: Asking, expert: str) -> bool:
    shown = one.message(expert, may_hand_back=False).conversation
    assert len(shown.tools) == 1, "they stand in the request all the same"
    return shown.tool_choice.mode != chat.ToolChoice.MODE_NONE


def test_who_has_not_learned_to_call_is_shown_no_tools() -> None:
    assert not is_shown_tools(asking("coder", "tools", calls_none=("coder",)), "coder")
    assert is_shown_tools(asking("coder", "tools", calls_none=("coder",)), "tools")
    assert is_shown_tools(asking("coder", "tools"), "coder"), "any other expert decides for itself"
    assert not is_shown_tools(asking("tools", "coder", reason=Reason.UNHEALTHY, calls_none=("coder",)), "coder")


def test_who_is_named_or_has_to_call_is_shown_tools() -> None:
    assert is_shown_tools(asking("coder", reason=Reason.PINNED, calls_none=("coder",)), "coder")
    for mode in (chat.ToolChoice.MODE_REQUIRED, chat.ToolChoice.MODE_NAMED):
        assert is_shown_tools(asking("coder", calls_none=("coder",), mode=mode), "coder")


def test_leave_is_given_once_and_the_request_stays_as_it_came() -> None:
    told: list[Any] = []

    class Told:
        def handed_back(self, expert: str, decision: RouteDecision) -> None:
            told.append((expert, decision.expert))

    once = asking("tools", "coder")
    once._decide_again = lambda expert: route_decision("coder", "next", expert, reason=Reason.HANDED_BACK)
    before = once.message("coder", may_hand_back=False)
    once.hand_back("tools", Told())  # type: ignore[arg-type]  # no more of it is asked
    assert told == [("tools", "coder")]
    assert once.experts == ["coder", "next", "tools"]
    assert not any(once.may_hand_back(expert) for expert in once.experts)
    modes = [once.message(expert, may_hand_back=False).conversation.tool_choice.mode for expert in once.experts]
    assert modes == [chat.ToolChoice.MODE_NONE, chat.ToolChoice.MODE_UNSPECIFIED, chat.ToolChoice.MODE_UNSPECIFIED]
    assert before.conversation == once.request.input, "nothing of it was changed"
    assert once.answered_by("coder").reason is Reason.HANDED_BACK
    assert once.answered_by("tools").reason is Reason.FALLBACK
