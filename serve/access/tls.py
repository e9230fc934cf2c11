"""TLS for both doors, in the form that each door's server wants.

Certificates are PEM files, read at start, and again when they change (`serve.live.sources.certificate_source`): whoever
connects after that sees the new one, open connections go on with the old.
"""

import ssl
from typing import Any, Protocol

import grpc

from serve.settings.doors import TlsSettings
from serve.settings.tree import SettingsError


def uvicorn_arguments(settings: TlsSettings) -> dict[str, Any]:
    """Uvicorn's arguments; a client's certificate is asked for where there is an authority to check it by."""
    if settings.certificate is None:
        return {}
    return {
        "ssl_certfile": settings.certificate,
        "ssl_keyfile": settings.key,
        "ssl_ca_certs": settings.client_ca,
        "ssl_cert_reqs": ssl.CERT_REQUIRED if settings.client_ca else ssl.CERT_NONE,
    }


class ShowsCertificate(Protocol):
    """A door that can be told to show what its files hold now."""

    def show_certificate(self) -> None:
        """Read the files again."""
        ...


def check_pair(settings: TlsSettings) -> None:
    """See that certificate and key can be read and belong together.

    Raises:
        SettingsError: they cannot be, or do not.
    """
    if settings.certificate is None:
        return
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(settings.certificate, settings.key)
    except (OSError, ssl.SSLError) as error:
        raise SettingsError(f"tls: {settings.certificate}: {error}") from None


class GrpcCertificate:
    """The certificate of the gRPC door; gRPC asks at each handshake whether there is another."""

    def __init__(self, settings: TlsSettings) -> None:
        """Read it.

        Raises:
            OSError: a file cannot be read.
        """
        self._settings = settings
        self._waiting: grpc.ServerCertificateConfiguration | None = None
        self.credentials: grpc.ServerCredentials | None = None  # None where the door speaks plain text
        if settings.certificate is not None:
            self.credentials = grpc.dynamic_ssl_server_credentials(
                self._read(),
                self._fetch,  # type: ignore[arg-type]  # its stub forgets None, gRPC's word for no change
                require_client_authentication=settings.client_ca is not None,
            )

    def renew(self) -> None:
        """Show what the files hold now from the next handshake on."""
        if self.credentials is not None:
            self._waiting = self._read()

    def _read(self) -> grpc.ServerCertificateConfiguration:
        settings = self._settings
        assert settings.certificate is not None and settings.key is not None  # they go together
        pair = (settings.key.read_bytes(), settings.certificate.read_bytes())
        authority = settings.client_ca.read_bytes() if settings.client_ca else None
        return grpc.ssl_server_certificate_configuration([pair], authority)

    def _fetch(self) -> grpc.ServerCertificateConfiguration | None:
        """Answer gRPC, in a thread of its own: None = no change since the last handshake."""
        found, self._waiting = self._waiting, None
        return found
