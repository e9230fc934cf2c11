"""What may change while a gateway serves, and whom a change concerns. `serve.app` hands the parts in."""

from serve.access.keys import KeyRing, load_keys
from serve.live.watch import Source
from serve.settings.tree import AccessSettings, KeySettings


def keys_source(settings: AccessSettings, ring: KeyRing) -> Source:
    """The file of keys, if there is one: a key that is taken out is refused from its next request on."""

    def take_up(keys: tuple[KeySettings, ...]) -> tuple[str, ...]:
        ring.replace(keys)
        return ()

    paths = () if settings.keys_file is None else (settings.keys_file,)
    return Source("keys", paths, lambda: load_keys(settings), take_up)
