"""An expert whose adapter is a link is deployed anew when the link points elsewhere, and no other is."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from experts.catalog.spec import ExpertSpec
from experts.cluster.renewal import Links, adapter_link, renewal_options


def spec(name: str, adapter: str | None, engine: str = "openvino") -> ExpertSpec:
    return ExpertSpec.model_validate(
        {
            "name": name, "description": "x", "base": "some/where", "adapter": adapter, "engine": engine,
            "context_window": 100, "licence": "x", "scaling": {"drain_s": 77},
            "price": {"usd_per_million": {"prompt": 1, "completion": 1}},
        }
    )  # fmt: skip


@pytest.fixture
def link(tmp_path: Path) -> Path:
    for name in ("old", "new"):
        (tmp_path / name).mkdir()
    (tmp_path / "current").symlink_to("old")
    return tmp_path / "current"


def point(link: Path, to: str) -> None:
    draft = link.with_name("draft")
    draft.symlink_to(to)
    os.replace(draft, link)


def test_only_what_points_elsewhere(link: Path, tmp_path: Path) -> None:
    others = [spec("shipped", "moegate:coder"), spec("plain", str(tmp_path / "old")), spec("base", None)]
    links = Links([spec("linked", str(link)), *others])
    assert links.changed() == []
    point(link, "new")
    assert [one.name for one in links.changed()] == ["linked"]
    assert links.changed() == []
    point(link, "nowhere")
    assert links.changed() == [], "what is not there serves nobody"
    point(link, "old")
    assert [one.name for one in links.changed()] == ["linked"]


def test_the_new_replica_comes_before_the_old_one_goes(link: Path) -> None:
    assert renewal_options(spec("linked", str(link))) == {"max_surge_percent": 100, "graceful_shutdown_timeout_s": 77}
    assert renewal_options(spec("shipped", "moegate:coder")) == {}


def test_what_is_no_link(link: Path) -> None:
    assert adapter_link(spec("x", str(link), "echo")) is None
    assert adapter_link(spec("x", "s3://bucket/x@sha256:" + "0" * 64)) is None
