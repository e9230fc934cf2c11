"""One kept answer and what was thought of it, as curation reads it. `serve.interactions` has written it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Opinion:
    """A rating: -1..1; who should have answered, and what, if that was said."""

    rating: float
    better_expert: str | None = None
    correction: str | None = None


@dataclass(frozen=True, slots=True)
class Interaction:
    """One record beside its opinions.

    Attributes:
        record: the row as it is kept.
        opinions: of everybody who may have one.
    """

    record: Mapping[str, Any]
    opinions: tuple[Opinion, ...] = ()

    @property
    def id(self) -> str:
        """The answer's id."""
        return str(self.record["response"]["id"])

    @property
    def expert(self) -> str:
        """Who answered."""
        return str(self.record["moegate"]["expert"])

    @property
    def person(self) -> str:
        """Whoever asked, as far as that is told apart: the user of a key, the key, or the conversation."""
        own, client = self.record["moegate"], str(self.record["client_id"])
        return f"{client}/{own['user']}" if own.get("user") else client or str(own["conversation"])

    @property
    def request(self) -> Mapping[str, Any]:
        """The body of the chat completion."""
        asked: Mapping[str, Any] = self.record["request"]
        return asked

    @property
    def message(self) -> Mapping[str, Any]:
        """The answer's message."""
        said: Mapping[str, Any] = self.record["response"]["choices"][0]["message"]
        return said

    @property
    def finish(self) -> str | None:
        """Why it ended."""
        reason = self.record["response"]["choices"][0].get("finish_reason")
        return None if reason is None else str(reason)

    @property
    def is_recalled(self) -> bool:
        """Whether a cache gave it: nobody decided, and nothing was made."""
        return bool(self.record["moegate"].get("recalled"))

    @property
    def rating(self) -> float | None:
        """The mean of its opinions; None where there are none."""
        return sum(one.rating for one in self.opinions) / len(self.opinions) if self.opinions else None

    @property
    def better_expert(self) -> str | None:
        """Who should have answered, as was said last."""
        named = [one.better_expert for one in self.opinions if one.better_expert]
        return named[-1] if named else None

    @property
    def correction(self) -> str | None:
        """What should have been answered, as was said last."""
        said = [one.correction for one in self.opinions if one.correction]
        return said[-1] if said else None

    def corrected(self) -> tuple[Interaction, ...]:
        """It as it is; or, where somebody has said what the answer should have been, it disliked, and that liked."""
        said = self.correction
        if said is None:
            return (self,)
        response = self.record["response"]
        choice = {"index": 0, "message": {"role": "assistant", "content": said}, "finish_reason": "stop"}
        record = {**self.record, "response": {**response, "choices": [choice]}}
        return Interaction(self.record, (Opinion(-1.0),)), Interaction(record, (Opinion(1.0),))

    @property
    def kind(self) -> str:
        """What it is one of, to keep kinds in balance: the first tool that it called, or its workload."""
        calls = self.message.get("tool_calls") or ()
        return f"tool {calls[0]['function']['name']}" if calls else f"workload {self.record['workload_id']}"

    @property
    def words(self) -> str:
        """What the user said last, the text by which requests are compared."""
        messages = self.request.get("messages")
        if not messages:
            return str(self.request.get("prompt", ""))
        said = [str(one.get("content") or "") for one in messages if one.get("role") == "user"]
        return said[-1] if said else ""
