"""API keys: who a caller is. Both doors ask here first.

A key is 256 random bits, shown once when `moegate key add` makes it. The settings hold its SHA-256. No salt and no
slow hash is needed, because nobody can guess 256 random bits. Where the settings name neither keys nor a file of keys,
everybody may call, and `serve.access.exposure` checks that this is wanted.
"""

import hashlib
import secrets
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Final

from pydantic import BaseModel, ConfigDict, ValidationError

from experts.catalog.yaml_file import YamlError, explain, read_yaml
from serve.errors import OperatorOnly, Unauthorized
from serve.request import ANYONE, UNLIMITED, Caller, Limit
from serve.settings.access import AccessSettings, KeySettings
from serve.settings.tree import SettingsError

_PREFIX: Final = "mg-"
_SCHEME: Final = "bearer "


class KeyRing:
    """The keys that open the doors.

    A key is found by its digest, in one look-up however many there are. How long that takes tells nothing: whoever
    tries keys does not choose their digests, and the start of a digest that is right leads to no key.

    Attributes:
        is_open: anybody may come in. A ring is open or not for good: who revokes the last key does not open the doors.
    """

    def __init__(
        self, keys: Iterable[KeySettings], *, hold_s: float = UNLIMITED.hold_s, is_open: bool | None = None
    ) -> None:
        """Make a ring.

        Args:
            keys: who may come in.
            hold_s: no request runs longer; see `limits.Limit`.
            is_open: see there; None = there is no key.
        """
        self._hold_s = hold_s
        self.replace(keys)
        self.is_open = not self._callers if is_open is None else is_open

    def replace(self, keys: Iterable[KeySettings]) -> None:
        """Take other keys in place of these. A request that has come in keeps the limits that it came with."""
        self._callers = {key.sha256: _caller(key, self._hold_s) for key in keys}

    @property
    def callers(self) -> tuple[Caller, ...]:
        """Everybody who has a key."""
        return tuple(self._callers.values())

    def name_of(self, authorization: str | None) -> str:
        """Name the key in the header `authorization`; empty where `identify` would refuse it or nobody needs one."""
        with suppress(Unauthorized):
            return self.identify(authorization).name
        return ""

    def identify(self, authorization: str | None, api_key: str | None = None) -> Caller:
        """Tell who asks, from the header `authorization: Bearer KEY`, or from `x-api-key: KEY` where that is missing.

        Raises:
            Unauthorized: there is no key, or a wrong one.
        """
        if self.is_open:
            return ANYONE
        if authorization is not None and authorization[: len(_SCHEME)].lower() == _SCHEME:
            api_key = authorization[len(_SCHEME) :]
        elif authorization is not None or api_key is None:
            raise Unauthorized("an API key is required: 'authorization: Bearer KEY' or 'x-api-key: KEY'")
        found = self._callers.get(_digest(api_key.strip()))
        if found is None:
            raise Unauthorized("the API key is not valid")
        return found

    def check_operator(self, caller: Caller, what: str) -> None:
        """See that a caller is an operator; where nobody needs a key, everybody is.

        Args:
            caller: as `identify` has told.
            what: what is for operators alone, with its verb, such as `usage is shown to`.

        Raises:
            OperatorOnly: the caller's key is not an operator's.
        """
        if not (caller.is_operator or self.is_open):
            raise OperatorOnly(f"{what} keys with 'operator: true' alone")


def load_keys(settings: AccessSettings) -> tuple[KeySettings, ...]:
    """Gather the keys of the settings and of the keys' file.

    Raises:
        SettingsError: the file cannot be used, or a name or a key is there twice.
    """
    keys = (*settings.keys, *_read(settings))
    for what, values in (("name", [key.name for key in keys]), ("key", [key.sha256 for key in keys])):
        if len(set(values)) < len(values):
            raise SettingsError(f"access: a {what} is there twice")
    return keys


def asks_for_keys(settings: AccessSettings, keys: Sequence[KeySettings]) -> bool:
    """Say whether callers need a key: there are some, or there is a file that may get some."""
    return bool(keys) or settings.keys_file is not None


def make_ring(settings: AccessSettings, keys: Sequence[KeySettings], *, hold_s: float) -> KeyRing:
    """Make the ring of a gateway; `hold_s` as there."""
    return KeyRing(keys, hold_s=hold_s, is_open=not asks_for_keys(settings, keys))


def new_key() -> tuple[str, str]:
    """Make a key; returns it and its digest, which alone is to be kept."""
    key = _PREFIX + secrets.token_urlsafe(32)
    return key, _digest(key)


class _KeysFile(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    keys: tuple[KeySettings, ...]


def _read(settings: AccessSettings) -> tuple[KeySettings, ...]:
    """Read the file: a mapping with `keys`, or the list alone, as `moegate key add` makes it."""
    if settings.keys_file is None:
        return ()
    try:
        document = read_yaml(settings.keys_file)
    except YamlError as error:
        raise SettingsError(f"access.keys_file: {error}") from None
    content = document.content
    if not isinstance(content, dict | list):
        raise SettingsError(
            f"access.keys_file: {document.path}: it must hold 'keys', each with 'name' and 'sha256': see 'moegate key'"
        )
    try:
        return _KeysFile.model_validate({"keys": content} if isinstance(content, list) else content).keys
    except ValidationError as error:
        skip = 1 if isinstance(content, list) else 0
        raise SettingsError(
            "\n".join(
                f"access.keys_file: {document.where(m['loc'][skip:])}: {'.'.join(map(str, m['loc']))}: "
                f"{explain(m, _KeysFile)}"
                for m in error.errors(include_url=False, include_input=False)
            )
        ) from None


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()


def _caller(key: KeySettings, hold_s: float) -> Caller:
    return Caller(key.name, _limit(key, hold_s), key.operator, _named(key.collections), _named(key.toolsets))


def _named(names: Sequence[str]) -> frozenset[str] | None:
    return None if "*" in names else frozenset(names)


def _limit(key: KeySettings, hold_s: float) -> Limit:
    return Limit(key.rpm, key.tpm, key.usd, 86400 if key.usd_per == "day" else 30 * 86400, hold_s)
