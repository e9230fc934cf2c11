"""Which requests are the same: the key under which an answer is kept."""

import hashlib
from typing import Final

from serve.request import ChatRequest

_FORM: Final = b"moegate answer 1"  # of what is kept; a change of it finds nothing that was kept before


def cache_key(request: ChatRequest, identity: bytes) -> bytes | None:
    """Return the key of a request; None where the same request may be answered differently.

    Whether the answer is streamed makes no difference, nor do deadlines, priorities and names of requests.

    Args:
        request: as the steps have prepared it.
        identity: who would answer: the router's artefact, the catalogue and the experts' weights.
    """
    sampling = request.sampling
    is_greedy = sampling.HasField("temperature") and sampling.temperature == 0
    if not (is_greedy or sampling.HasField("seed")):
        return None
    asked = request.input
    parts = (
        _FORM,
        identity,
        request.caller.name.encode(),
        request.model.encode(),
        b"prompt" if isinstance(asked, str) else b"conversation",
        asked.encode() if isinstance(asked, str) else asked.SerializeToString(deterministic=True),
        sampling.SerializeToString(deterministic=True),
        repr(request.preferences).encode(),
    )
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "big") + part)
    return digest.digest()
