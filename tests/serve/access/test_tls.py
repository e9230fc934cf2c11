"""TLS on both doors, with and without certificates of clients."""

import asyncio
import shutil
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import grpc
import grpc.aio
import httpx2
import pytest
import pytest_asyncio

from protos.gateway_pb2_grpc import GatewayStub
from serve.access.tls import GrpcCertificate, check_pair, uvicorn_arguments
from serve.app import App
from serve.settings.doors import TlsSettings
from serve.settings.tree import Settings
from tests.helpers import CHAT, until
from tests.serve.test_access import BODY, PROTO


def test_without_a_certificate_both_doors_speak_plain_text() -> None:
    assert uvicorn_arguments(TlsSettings()) == {}
    assert GrpcCertificate(TlsSettings()).credentials is None
    GrpcCertificate(TlsSettings()).renew()
    check_pair(TlsSettings())


def test_a_key_that_cannot_be_read_is_an_error_at_start(tmp_path: Path) -> None:
    for name in ("server.pem", "server.key"):
        (tmp_path / name).touch()
    settings = TlsSettings(certificate=tmp_path / "server.pem", key=tmp_path / "server.key")
    (tmp_path / "server.key").unlink()
    with pytest.raises(FileNotFoundError):
        GrpcCertificate(settings)


@pytest.fixture(scope="module")
def pems(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An authority, and a server's and a client's certificate that it signed."""
    folder = tmp_path_factory.mktemp("pems")

    def openssl(arguments: str) -> None:
        subprocess.run(["openssl", *arguments.split()], cwd=folder, check=True, capture_output=True)

    new = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes"
    openssl(f"req -x509 {new} -keyout ca.key -out ca.pem -subj /CN=authority -days 1")
    (folder / "san").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1")
    for name in ("server", "client"):
        openssl(f"req {new} -keyout {name}.key -out {name}.csr -subj /CN={name}")
        signed = "-CA ca.pem -CAkey ca.key -CAcreateserial -days 1 -extfile san"
        openssl(f"x509 -req -in {name}.csr -out {name}.pem {signed}")
    return folder


class TestTls:
    @pytest.fixture(params=[False, True], ids=["tls", "mtls"])
    def is_mutual(self, request: pytest.FixtureRequest) -> bool:
        return bool(request.param)

    @pytest_asyncio.fixture
    async def app(self, settings: Settings, pems: Path, is_mutual: bool) -> AsyncIterator[App]:
        tls = settings.tls.model_copy(
            update={
                "certificate": pems / "server.pem",
                "key": pems / "server.key",
                "client_ca": pems / "ca.pem" if is_mutual else None,
            }
        )
        app = App(settings.model_copy(update={"tls": tls}))
        await app.start()
        yield app
        await app.stop()

    async def test_http(self, app: App, pems: Path, is_mutual: bool) -> None:
        url = f"https://{app.http_address}{CHAT}"
        stranger = ssl.create_default_context(cafile=pems / "ca.pem")
        known = ssl.create_default_context(cafile=pems / "ca.pem")
        known.load_cert_chain(pems / "client.pem", pems / "client.key")
        async with httpx2.AsyncClient(verify=known) as client:
            assert (await client.post(url, json=BODY)).status_code == 200
        async with httpx2.AsyncClient(verify=stranger) as client:
            if is_mutual:
                with pytest.raises(httpx2.TransportError):
                    await client.post(url, json=BODY)
            else:
                assert (await client.post(url, json=BODY)).status_code == 200

    async def test_grpc(self, app: App, pems: Path, is_mutual: bool) -> None:
        authority = (pems / "ca.pem").read_bytes()
        pair = ((pems / "client.key").read_bytes(), (pems / "client.pem").read_bytes())
        for who, may_come_in in ((pair, True), ((None, None), not is_mutual)):
            credentials = grpc.ssl_channel_credentials(authority, *who)
            async with grpc.aio.secure_channel(app.grpc_address, credentials) as channel:
                call = GatewayStub(channel).Complete(PROTO, timeout=60)
                if may_come_in:
                    assert (await call).text
                else:
                    with pytest.raises(grpc.aio.AioRpcError):
                        await call


class TestRenewal:
    """A file that changes while the gateway serves, as a kubelet changes what a Secret holds."""

    @pytest.fixture
    def files(self, pems: Path, tmp_path: Path) -> Path:
        for name in ("server.pem", "server.key"):
            shutil.copy(pems / name, tmp_path / name)
        return tmp_path

    @pytest_asyncio.fixture
    async def app(self, settings: Settings, files: Path) -> AsyncIterator[App]:
        tls = TlsSettings(certificate=files / "server.pem", key=files / "server.key")
        app = App(settings.model_copy(update={"tls": tls}))
        await app.start()
        yield app
        await app.stop()

    async def test_both_doors_show_the_new_one_and_open_connections_go_on(
        self, app: App, pems: Path, files: Path, sample: Callable[..., float]
    ) -> None:
        trusted = ssl.create_default_context(cafile=pems / "ca.pem")
        async with httpx2.AsyncClient(verify=trusted) as client:
            url = f"https://{app.http_address}{CHAT}"
            assert (await client.post(url, json=BODY)).status_code == 200
            for name in ("pem", "key"):
                shutil.copy(pems / f"client.{name}", files / f"server.{name}")  # of the same authority and names
            await until(lambda: taken(sample, "taken") == 1)
            assert (await client.post(url, json=BODY)).status_code == 200
        for address in (app.http_address, app.grpc_address):
            assert await asyncio.to_thread(shown, address) == ssl.PEM_cert_to_DER_cert(
                (pems / "client.pem").read_text()
            )

    async def test_what_does_not_fit_is_refused_and_the_old_one_stays(
        self, app: App, pems: Path, files: Path, sample: Callable[..., float]
    ) -> None:
        (files / "server.pem").write_text((pems / "client.pem").read_text())  # the key is another's
        await until(lambda: taken(sample, "refused") == 1)
        for address in (app.http_address, app.grpc_address):
            assert await asyncio.to_thread(shown, address) == ssl.PEM_cert_to_DER_cert(
                (pems / "server.pem").read_text()
            )


def taken(sample: Callable[..., float], outcome: str) -> float:
    return sample("moegate_configuration_reloads_total", configuration="certificate", outcome=outcome)


def der(pem: Path) -> bytes:
    return ssl.PEM_cert_to_DER_cert(pem.read_text())


def shown(address: str) -> bytes:
    """The certificate that a door shows to a stranger."""
    host, _, port = address.rpartition(":")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    with socket.create_connection((host, int(port))) as plain, context.wrap_socket(plain) as stream:
        found = stream.getpeercert(binary_form=True)
    assert found is not None
    return found
