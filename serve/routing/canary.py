"""Sends a share of one expert's conversations to a new version on trial; decided after routing and before dispatch.

A canary is an expert of its own in the catalogue (`canary_of`, `canary_share`), so every metric, price and log line
distinguishes the two by name. The expert that it stands in for is next in the ranking. So a canary that fails before
its first token costs its clients only time. A caller who names an expert gets that expert.

What is drawn is the conversation, not the request, and by nothing that is sent for the purpose: all turns of one have
the same key, system prompt and first turn. The decision's propensity holds the share that was drawn by.
"""

from collections.abc import Mapping
from hashlib import blake2b

from experts.catalog.spec import Catalog, ExpertSpec
from protos import chat_pb2 as chat
from router.decision import Candidate, Reason, RouteDecision
from serve.request import ChatRequest

_INSTRUCTIONS = frozenset({chat.ROLE_SYSTEM, chat.ROLE_UNSPECIFIED})


def canaries(catalog: Catalog) -> dict[str, ExpertSpec]:
    """Return each expert's canary, by the expert's name."""
    return {spec.canary_of: spec for spec in catalog.experts if spec.canary_of is not None}


def with_canary(decision: RouteDecision, on_trial: Mapping[str, ExpertSpec], request: ChatRequest) -> RouteDecision:
    """Put the chosen expert's canary before it, for the share of conversations in its catalogue entry.

    The same conversation always goes the same way. Where exploration chose the expert, both draws are in the
    propensity of the decision: without that, estimates from the log would be biased.
    """
    canary = on_trial.get(decision.expert)
    if canary is None or decision.reason is Reason.PINNED:
        return decision
    chances = _with_shares(decision.chances or {decision.expert: decision.propensity}, on_trial)
    if not drawn(canary.name, origin_of(request), canary.canary_share):
        return decision._replace(propensity=chances[decision.expert], chances=chances)
    others = tuple(candidate for candidate in decision.ranking if candidate.expert != canary.name)
    ranking = (Candidate(canary.name, decision.confidence), *others)
    return decision._replace(ranking=ranking, propensity=chances[canary.name], chances=chances)


def origin_of(request: ChatRequest) -> bytes:
    """Tell one conversation from another: 16 bytes that all its turns share, and no word of it can be read back from.

    A raw prompt belongs to its key, or stands for itself where there are no keys.
    """
    digest = blake2b(request.caller.name.encode(), digest_size=16)
    if isinstance(request.input, str):
        digest.update(b"" if request.caller.name else request.input.encode())
        return digest.digest()
    for message in request.input.messages:
        digest.update(b"%d\0%b\0" % (message.role, message.content.encode()))
        if message.role not in _INSTRUCTIONS:
            break
    return digest.digest()


def _with_shares(chances: Mapping[str, float], on_trial: Mapping[str, ExpertSpec]) -> dict[str, float]:
    """Divide each expert's chance between it and its canary."""
    divided: dict[str, float] = {}
    for name, chance in chances.items():
        canary = on_trial.get(name)
        share = 0.0 if canary is None else canary.canary_share
        divided[name] = divided.get(name, 0.0) + chance * (1.0 - share)
        if canary is not None:
            divided[canary.name] = divided.get(canary.name, 0.0) + chance * share
    return divided


def drawn(name: str, origin: bytes, share: float) -> bool:
    """Whether a conversation is among this share of them: evenly, and other ones for each name."""
    return int.from_bytes(blake2b(origin, digest_size=8, key=name.encode()[:64]).digest()) / 2**64 < share
