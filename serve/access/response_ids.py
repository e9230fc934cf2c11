"""Names of answers. A name says whose it is, so that any gateway knows who may speak of it, without asking another.

The last eight of its 32 hexadecimal digits are a hash of the others and of the key's name. Whoever learns the name of
somebody else's answer cannot make it its own: with another ending it is the name of nothing.
"""

import re
import secrets
from hashlib import blake2b
from typing import Final

_FORM: Final = re.compile(r"[a-z]{1,12}[-_]([0-9a-f]{24})([0-9a-f]{8})")


def new_id(prefix: str, owner: str) -> str:
    """Make a name that no other answer has; `owner` is the key's name, empty where there are no keys."""
    body = secrets.token_hex(12)
    return f"{prefix}{body}{_seal(body, owner)}"


def is_of(response_id: str, owner: str) -> bool:
    """Whether a moegate gave this name to an answer to this key."""
    match = _FORM.fullmatch(response_id)
    return match is not None and _seal(match[1], owner) == match[2]


def _seal(body: str, owner: str) -> str:
    return blake2b(f"{body}{owner}".encode(), digest_size=4).hexdigest()
