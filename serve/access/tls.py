"""TLS for both doors, in the form that each door's server wants. Certificates are PEM files, read at start."""

import ssl
from typing import Any

import grpc

from serve.settings.tree import TlsSettings


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


def grpc_credentials(settings: TlsSettings) -> grpc.ServerCredentials | None:
    """Return gRPC's server credentials, likewise; None where the door speaks plain text.

    Raises:
        OSError: a file cannot be read.
    """
    if settings.certificate is None or settings.key is None:
        return None
    pair = (settings.key.read_bytes(), settings.certificate.read_bytes())
    authority = settings.client_ca.read_bytes() if settings.client_ca else None
    return grpc.ssl_server_credentials([pair], authority, require_client_auth=authority is not None)
