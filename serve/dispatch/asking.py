"""A request on its way through the experts: who may be asked, in which order, and what each of them is told.

`serve.dispatch` makes one for each request and walks along its `experts`.
"""

from typing import Final

from protos import chat_pb2 as chat
from protos import expert_pb2 as pb
from router.decision import Reason, RouteDecision
from serve.dispatch.blame import Blame
from serve.dispatch.hand_back import DecideAgain
from serve.dispatch.wasted_work import Follower
from serve.expert_client.channel import ExpertCall
from serve.request import ChatRequest

_NO_TOOLS: Final = chat.ToolChoice(mode=chat.ToolChoice.MODE_NONE)


class Asking:
    """One request.

    Attributes:
        request: the request.
        decision: the decision that is being carried out.
        experts: who may answer, best first. One whom the caller named is not replaced by another.
        blame: who is to blame for failures that replicas have told of.
    """

    def __init__(
        self,
        request: ChatRequest,
        decision: RouteDecision,
        handing_back: frozenset[str],
        calling_none: frozenset[str],
        decide_again: DecideAgain,
    ) -> None:
        """`handing_back`: experts that hand back what no tool fits; `calling_none`: those that never learned calls."""
        self.request = request
        self.decision = decision
        self.experts = _candidates(decision)
        self.blame = Blame(request.caller.name)
        self._handing_back = handing_back
        self._decide_again = decide_again
        self._calling_none = calling_none
        self._has_come_back = False

    def may_hand_back(self, expert: str) -> bool:
        """Whether an expert may hand the request back: once, and only one that was chosen for the tools.

        One that stands in for somebody whom the words asked for has to answer; so has the only one there is.
        """
        if expert not in self._handing_back or self._has_come_back or len(self.experts) < 2:
            return False
        before = self.experts[: self.experts.index(expert)]
        return self.request.may_call_tools and self._handing_back.issuperset(before)

    def hand_back(self, expert: str, follower: Follower) -> None:
        """`expert` has handed the request back: carry out what the words alone ask for."""
        self.decision = self._decide_again(expert)
        self.experts = _candidates(self.decision)
        self._has_come_back = True
        follower.handed_back(expert, self.decision)

    def message(self, expert: str, *, may_hand_back: bool) -> pb.GenerateRequest:
        """What an expert is asked.

        Once it is known that no tool fits, whoever answers in words is shown none and can call none. So is an expert
        that has not learned to call, unless the caller named it or a call must come: it would invent calls.
        """
        message = generate_request(self.request)
        message.may_hand_back = may_hand_back
        answers_in_words = self._has_come_back and expert not in self._handing_back
        if answers_in_words or self._is_shown_none(expert):
            message.conversation.tool_choice.CopyFrom(_NO_TOOLS)
        return message

    def _is_shown_none(self, expert: str) -> bool:
        is_left_to_us = self.request.may_call_tools and self.decision.reason is not Reason.PINNED
        return is_left_to_us and expert in self._calling_none

    def answered_by(self, expert: str) -> RouteDecision:
        """The decision as carried out."""
        index = self.experts.index(expert)
        return self.decision if index == 0 else self.decision.fallback_to(index)

    def witness(self, call: ExpertCall | None) -> str | None:
        """Who may have caused what the call met: the tenant, if a replica broke on its request.

        What was not taken on, and silence, no client causes alone; without keys nobody is named for it.
        """
        tenant = self.request.caller.name
        broke = call is not None and call.is_taken_on and not call.patience.is_over
        return tenant if broke else tenant or None


def _candidates(decision: RouteDecision) -> list[str]:
    experts = [candidate.expert for candidate in decision.ranking]
    return experts[:1] if decision.reason is Reason.PINNED else experts


def generate_request(request: ChatRequest) -> pb.GenerateRequest:
    """Say what a request asks in an expert's own terms."""
    if isinstance(request.input, str):
        return pb.GenerateRequest(prompt=request.input, sampling=request.sampling, request_id=request.request_id)
    message = pb.GenerateRequest(conversation=request.input, sampling=request.sampling, request_id=request.request_id)
    if request.needs_structure:
        message.whole, message.reduced_schema = not request.is_stream, request.reduced_schema
    return message
