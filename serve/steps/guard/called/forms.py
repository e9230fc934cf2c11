"""How each kind of service is asked, and how its answer is read."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

FormName = Literal["llama_guard", "nemo", "presidio", "json"]


class CallFailed(Exception):
    """The service could not be asked, or gave no answer of use; the message holds none of the text."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a service is asked about.

    Attributes:
        text: the words.
        speaker: whose they are; `other` are documents and tools' results.
        question: what the assistant answers with them.
    """

    text: str
    speaker: Literal["user", "other", "assistant"]
    question: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a service has said of a text.

    Attributes:
        why: its reason in a few words of its own making, such as `S2`; None where the text is fine.
        spans: what it has found, where it says so: entity, first character, the one after the last.
    """

    why: str | None
    spans: tuple[tuple[str, int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Form:
    """One kind of service.

    Attributes:
        body: makes the request out of what is asked about, and the rule's `model` and `options`.
        read: reads the answer.
    """

    body: Callable[[Asked, str, Mapping[str, Any]], object]
    read: Callable[[Any], Verdict]


def _messages(asked: Asked) -> list[dict[str, str]]:
    """A conversation as these models know it: it begins with a user; a document is what a user shows."""
    if asked.speaker != "assistant":
        return [{"role": "user", "content": asked.text}]
    return [{"role": "user", "content": asked.question}, {"role": "assistant", "content": asked.text}]


def _llama_guard(answer: Any) -> Verdict:  # noqa: ANN401  # JSON
    """`safe`, or `unsafe` and categories on the line below (Meta's model cards of Llama Guard 1 to 4)."""
    said = str(answer["choices"][0]["message"]["content"]).strip().split("\n")
    match said[0].strip().lower():
        case "safe":
            return Verdict(None)
        case "unsafe":
            return Verdict(_short(said[1]) if len(said) > 1 else "unsafe")
    raise CallFailed("it says neither safe nor unsafe")


def _nemo(answer: Any) -> Verdict:  # noqa: ANN401  # JSON
    """`/v1/guardrail/checks` of NeMo Guardrails: a status, and one for each rail."""
    match answer["status"]:
        case "success":
            return Verdict(None)
        case "blocked":
            rails = [name for name, one in (answer.get("rails_status") or {}).items() if one.get("status") == "blocked"]
            return Verdict(_short(",".join(rails) or "blocked"))
    raise CallFailed("its status is neither success nor blocked")


def _presidio(answer: Any) -> Verdict:  # noqa: ANN401  # JSON
    """`/analyze` of Presidio's analyzer: a list of spans."""
    spans = tuple((_entity(one["entity_type"]), int(one["start"]), int(one["end"])) for one in answer)
    return Verdict(_short(",".join(sorted({entity for entity, _, _ in spans}))) if spans else None, spans)


def _json(answer: Any) -> Verdict:  # noqa: ANN401  # JSON
    """Our own: `{"flagged": true, "reason": "..."}`."""
    flagged = answer["flagged"]
    if not isinstance(flagged, bool):
        raise CallFailed("'flagged' is not true or false")
    return Verdict(_short(str(answer.get("reason") or "flagged")) if flagged else None)


FORMS: Final[Mapping[FormName, Form]] = {
    "llama_guard": Form(
        lambda asked, model, options: {
            "model": model,
            "messages": _messages(asked),
            "max_tokens": 32,
            "temperature": 0,
            **options,
        },
        _llama_guard,
    ),
    "nemo": Form(lambda asked, model, options: {"model": model, "messages": _messages(asked), **options}, _nemo),
    "presidio": Form(lambda asked, model, options: {"text": asked.text, "language": "en", **options}, _presidio),
    "json": Form(lambda asked, model, options: {"text": asked.text, "role": asked.speaker, **options}, _json),
}


def read(form: FormName, answer: object, text: str) -> Verdict:
    """Read an answer.

    Raises:
        CallFailed: it is not of the form.
    """
    try:
        verdict = FORMS[form].read(answer)
    except (KeyError, IndexError, TypeError, ValueError, AttributeError):
        raise CallFailed("its answer has not the expected form") from None
    if any(not 0 <= start < end <= len(text) for _, start, end in verdict.spans):
        raise CallFailed("a span lies outside the text")
    return verdict


def _short(said: str) -> str:
    """A service's reason could repeat the text: only what looks like names of categories goes on."""
    kept = "".join(one for one in said if one.isascii() and (one.isalnum() or one in " ,._-"))
    return kept[:80].strip() or "flagged"


def _entity(name: Any) -> str:  # noqa: ANN401  # JSON
    kept = "".join(one for one in str(name).upper() if one in "ABCDEFGHIJKLMNOPQRSTUVWXYZ_")
    return kept[:20] or "FOUND"
