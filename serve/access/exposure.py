"""Refuses settings that would open a gateway without keys to other machines, unless they say that this is wanted."""

import ipaddress

from serve.settings.tree import Settings, SettingsError


def check_exposure(settings: Settings, *, has_keys: bool) -> None:
    """Refuse to stand open to a network by mistake.

    Raises:
        SettingsError: a door listens beyond this machine and asks for nothing, and nobody said that this is meant.
    """
    if has_keys or settings.access.allow_open or settings.tls.client_ca is not None:
        return
    for name, host in (("http", settings.http.host), ("grpc", settings.grpc.host)):
        if not is_loopback(host):
            raise SettingsError(
                f"{name}.host {host} can be reached from other machines and no API key is asked for: "
                "make one with 'moegate key add NAME', or set access.allow_open: true"
            )


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
