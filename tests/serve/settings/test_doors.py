"""The doors' settings: hosts as URLs write them, origins as browsers send them, TLS files that go together."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from serve.settings.doors import CorsSettings, GrpcSettings, HttpSettings, TlsSettings

PEM = Path("a.pem")


@pytest.mark.parametrize(
    ("said", "meant"), [("[::1]", "::1"), ("::1", "::1"), ("127.0.0.1", "127.0.0.1"), ("[a", "[a")]
)
def test_brackets_around_an_address_are_a_urls(said: str, meant: str) -> None:
    assert HttpSettings(host=said).host == GrpcSettings(host=said).host == meant


@pytest.mark.parametrize("origin", ["*", "null", "file://", "https://a.example", "http://localhost:3000", "app+x://y"])
def test_an_origin_is_as_browsers_send_it(origin: str) -> None:
    assert CorsSettings(allow_origins=(origin,)).allow_origins == (origin,)


@pytest.mark.parametrize("origin", ["", "a.example", "https://", "https://a.example/", "https://a b", "HTTPS://a"])
def test_what_no_browser_sends_is_refused(origin: str) -> None:
    with pytest.raises(ValidationError, match="allow_origins"):
        CorsSettings(allow_origins=(origin,))


@pytest.mark.parametrize(
    ("files", "complaint"),
    [
        ({"certificate": PEM}, "certificate and key go together"),
        ({"key": PEM}, "certificate and key go together"),
        ({"client_ca": PEM}, "client_ca needs a certificate"),
    ],
)
def test_tls_files_go_together(files: dict[str, Path], complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        TlsSettings(**files)
    assert TlsSettings(certificate=PEM, key=PEM, client_ca=PEM).client_ca == PEM
