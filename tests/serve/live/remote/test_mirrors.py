"""The router's artefact and the catalogue in a bucket, changed, broken and out of reach under a serving gateway."""

import asyncio
import hashlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2
import pytest
import yaml

from router.model.artifact import DEFAULT_PATH, load, save
from serve.app import App
from serve.commands.config_check import find
from serve.live.remote.mirrors import bring
from serve.settings.tree import Settings, SettingsError, load_settings
from tests.helpers import CHAT, until

pytest.importorskip("moto", reason="needs moto")
from tests.fakes.s3 import BUCKET, Bucket, s3_bucket  # only where moto is

ROUTER, CATALOG = f"s3://{BUCKET}/router.npz", f"s3://{BUCKET}/experts.yaml"
HELLO = {"messages": [{"role": "user", "content": "Fix this Python function: def f(x) return x"}]}


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Bucket]:
    with s3_bucket(monkeypatch, tmp_path) as made:
        made.put("router.npz", DEFAULT_PATH.read_bytes())
        yield made


@pytest.fixture
def settings(settings: Settings, catalog_file: Path, bucket: Bucket) -> Settings:
    """The gateway's settings, with both files in the bucket."""
    bucket.put("experts.yaml", catalog_file.read_bytes())
    remote = settings.remote.model_copy(update={"router": ROUTER, "catalog": CATALOG, "interval_s": 0.05})
    return settings.model_copy(
        update={
            "remote": remote,
            "experts": settings.experts.model_copy(update={"catalog": None}),
            "router": settings.router.model_copy(update={"reload_interval_s": 0.05}),
        }
    )


def another(tmp_path: Path, **changes: Any) -> tuple[bytes, str]:
    """A router that is as good, and its version."""
    version = save(replace(load(DEFAULT_PATH), **changes), tmp_path / "other.npz")
    return (tmp_path / "other.npz").read_bytes(), version


async def version(http: httpx2.AsyncClient) -> str:
    return str((await http.post(CHAT, json=HELLO)).headers["x-moegate-router"])


async def test_a_new_router_is_taken_a_broken_one_refused_an_outage_survived(
    app: App, http: httpx2.AsyncClient, bucket: Bucket, tmp_path: Path, sample: Callable[..., float]
) -> None:
    def fetches(outcome: str) -> float:
        return sample("moegate_remote_fetches_total", file="router", outcome=outcome)

    first = await version(http)
    content, second = another(tmp_path, abstain_below=0.123)
    bucket.put("router.npz", content)
    await until(lambda: sample("moegate_router_reloads_total", outcome="taken") == 1)
    assert await version(http) == second != first
    assert fetches("taken") == 1

    bucket.put("router.npz", b"half a file")
    await until(lambda: fetches("refused") == 1)
    seen = sample("moegate_remote_confirmed_seconds", file="router")
    await asyncio.sleep(0.3)
    assert sample("moegate_remote_confirmed_seconds", file="router") == seen  # looked at: neither fetched nor current
    assert (fetches("refused"), await version(http)) == (1, second)
    assert sample("moegate_router_reloads_total", outcome="refused") == 0  # nobody who serves has seen it

    bucket.go_away()
    await until(lambda: fetches("unreachable") > 0)
    assert await version(http) == second
    bucket.come_back()
    content, third = another(tmp_path, abstain_below=0.321)
    bucket.put("router.npz", content)
    await until(lambda: sample("moegate_router_reloads_total", outcome="taken") == 2)
    assert await version(http) == third


async def test_the_catalogue_is_followed(app: App, bucket: Bucket, sample: Callable[..., float]) -> None:
    content = yaml.safe_load(bucket.get("experts.yaml"))
    content["experts"][1]["description"] = "plays another part"
    bucket.put("experts.yaml", yaml.safe_dump(content).encode())
    await until(lambda: sample("moegate_configuration_reloads_total", configuration="catalog", outcome="taken") == 1)
    assert app.gateway.catalog.experts[1].description == "plays another part"
    bucket.put("experts.yaml", b"default: nobody")
    await until(lambda: sample("moegate_remote_fetches_total", file="catalog", outcome="refused") == 1)
    assert sample("moegate_configuration_reloads_total", configuration="catalog", outcome="refused") == 0


def test_a_gateway_starts_with_the_last_good_copy_while_the_bucket_is_away(settings: Settings, bucket: Bucket) -> None:
    brought, mirrors = bring(settings)
    assert brought.router.artifact == mirrors[1].copy
    assert mirrors[1].copy.read_bytes() == DEFAULT_PATH.read_bytes()
    bucket.go_away()
    assert bring(settings)[0] == brought
    mirrors[1].copy.unlink()
    with pytest.raises(SettingsError, match=r"^remote.router: s3://models/router.npz: \w+$"):
        bring(settings)


def test_a_broken_file_and_none_of_before_is_an_error_at_the_start(settings: Settings, bucket: Bucket) -> None:
    bucket.put("router.npz", b"half a file")
    with pytest.raises(SettingsError, match=r"^remote.router: the file"):
        bring(settings)


async def test_a_pinned_file_is_what_its_pin_says_and_is_fetched_once(settings: Settings, bucket: Bucket) -> None:
    def pinned(sha256: str) -> Settings:
        remote = settings.remote.model_copy(update={"router": f"{ROUTER}@sha256:{sha256}", "catalog": None})
        return settings.model_copy(update={"remote": remote})

    with pytest.raises(SettingsError, match="which is not its pin"):
        bring(pinned("0" * 64))
    good = pinned(hashlib.sha256(DEFAULT_PATH.read_bytes()).hexdigest())
    _, [mirror] = bring(good)
    bucket.go_away()
    bring(good)
    await mirror.run(0.0)  # ends at once: it cannot change


def test_one_place_for_a_file(settings: Settings, tmp_path: Path) -> None:
    twice = settings.router.model_copy(update={"artifact": tmp_path / "router.npz"})
    with pytest.raises(SettingsError, match=r"remote.router: router.artifact is set as well"):
        bring(settings.model_copy(update={"router": twice}))
    brought, _ = bring(settings)
    assert bring(brought)[0] == brought  # `moegate up` brings it, and so does its gateway


def test_settings_that_name_no_address_are_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"remote.router: 'router.npz' is no address"):
        load_settings(overrides={"remote": {"router": "router.npz"}})


def test_config_check_fetches_too(bucket: Bucket, tmp_path: Path) -> None:
    file = tmp_path / "gateway.yaml"
    file.write_text(yaml.safe_dump({"remote": {"router": ROUTER}}))
    assert find(file) == []
    file.write_text(yaml.safe_dump({"remote": {"router": f"{ROUTER}-2"}}))
    [mistake] = find(file)
    assert (mistake.setting, "there is nothing" in mistake.message) == ("remote", True)
