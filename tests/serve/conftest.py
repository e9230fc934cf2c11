"""A whole gateway process, in this one: real doors on free ports, scripted experts behind them."""

from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import grpc.aio
import httpx2
import pytest
import pytest_asyncio
import yaml

from protos.gateway_pb2_grpc import GatewayStub
from router.model import artifact
from serve.app import App
from serve.settings.tree import Settings, load_settings
from tests.browser import BROWSER
from tests.fakes.expert_server import FakeExperts

NAMES = ("researcher", "coder", "advisor", "tool-caller", "generalist")


@pytest.fixture(autouse=True, scope="session")
def one_shipped_router() -> Iterator[None]:
    """Read the router that ships once for all gateways: half of a gateway's start, and nothing changes it."""
    shipped = artifact.load()

    def load(path: Path) -> artifact.Artifact:
        return shipped if path == artifact.DEFAULT_PATH else artifact.load(path)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("router.router.load", load)
        yield


@pytest.fixture
def catalog_file(tmp_path: Path) -> Path:
    entry = {
        "description": "plays a part",
        "base": "some/where",
        "engine": "echo",
        "context_window": 1000,
        "licence": "Apache-2.0",
        "price": {"usd_per_million": {"prompt": 1.0, "completion": 2.0}},
    }
    entries = [{"name": name, "hands_back": name == "tool-caller", **entry} for name in NAMES]
    path = tmp_path / "experts.yaml"
    path.write_text(yaml.safe_dump({"default": "generalist", "experts": entries}))
    return path


@pytest_asyncio.fixture
async def experts() -> AsyncIterator[FakeExperts]:
    fake = FakeExperts(*NAMES)
    await fake.start()
    yield fake
    await fake.stop()


@pytest.fixture
def overrides() -> dict[str, Any]:
    """Settings a test wants different; override this fixture by parametrisation."""
    return {}


@pytest.fixture
def settings(catalog_file: Path, experts: FakeExperts, overrides: dict[str, Any], tmp_path: Path) -> Settings:
    base: dict[str, Any] = {
        "http": {"port": 0},
        "grpc": {"port": 0},
        "experts": {"catalog": catalog_file, "target": experts.target, "probe_interval_s": 60},
        "responses": {"path": tmp_path / "responses.sqlite3"},
        "flywheel": {"folder": tmp_path / "flywheel"},
        "shutdown_grace_s": 0.2,
    }
    for section, values in overrides.items():
        base[section] = {**base[section], **values} if isinstance(base.get(section), dict) else values
    return load_settings(overrides=base)


@pytest_asyncio.fixture
async def app(settings: Settings) -> AsyncIterator[App]:
    app = App(settings)
    await app.start()
    yield app
    await app.stop()


@pytest_asyncio.fixture
async def http(app: App) -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(base_url=f"http://{app.http_address}", timeout=60) as client:
        yield client


@pytest_asyncio.fixture
async def stub(app: App) -> AsyncIterator[GatewayStub]:
    async with grpc.aio.insecure_channel(app.grpc_address) as channel:
        yield GatewayStub(channel)


@pytest.fixture
def sample(app: App) -> Callable[..., float]:
    """Read one sample of the app's metrics; 0 when it has not been made."""

    def read(name: str, **labels: str) -> float:
        return app.metrics.registry.get_sample_value(name, labels) or 0.0

    return read


@pytest_asyncio.fixture
async def browser() -> AsyncIterator[Any]:
    """A Chromium, in which every name that ends in .example is this machine."""
    playwright = pytest.importorskip("playwright.async_api", reason="needs playwright")
    arguments = ["--no-sandbox", "--host-resolver-rules=MAP *.example 127.0.0.1"]
    async with playwright.async_playwright() as tools:
        chromium = await tools.chromium.launch(executable_path=BROWSER, args=arguments)
        yield chromium
        await chromium.close()
