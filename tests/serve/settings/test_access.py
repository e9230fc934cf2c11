"""Who may come in: a key is known by its digest, and where limits are counted is an address of Redis."""

from typing import Any

import pytest
from pydantic import ValidationError

from serve.settings.access import AccessSettings, KeySettings

DIGEST = "0" * 64


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("name", name) for name in ("", "-a", "a b", "a/b", "é", "a" * 65)),
        *(("sha256", digest) for digest in ("", "0" * 63, "0" * 65, "A" * 64, "mg-key")),
        *(("rpm", 0), ("tpm", -1), ("usd", -0.01), ("usd_per", "week"), ("rpm", True), ("limit", 1)),
    ],
)
def test_a_key_that_cannot_be_meant_is_refused_by_its_field(field: str, value: Any) -> None:
    with pytest.raises(ValidationError) as caught:
        KeySettings.model_validate({"name": "a", "sha256": DIGEST, field: value})
    assert [error["loc"] for error in caught.value.errors()] == [(field,)]


def test_a_key_may_do_nothing_special_by_itself() -> None:
    key = KeySettings(name="A.b_c-1", sha256=DIGEST)
    assert (key.operator, key.collections, key.toolsets) == (False, (), ())
    assert (key.rpm, key.tpm, key.usd) == (None, None, None)


@pytest.mark.parametrize("url", ["redis://a", "rediss://a:1/2", "unix:///a"])
def test_limits_are_counted_in_a_redis(url: str) -> None:
    assert AccessSettings(redis_url=url).redis_url == url


@pytest.mark.parametrize("url", ["localhost:6379", "http://a", "redis://"])
def test_what_is_no_redis_is_refused(url: str) -> None:
    with pytest.raises(ValidationError, match="redis_url"):
        AccessSettings(redis_url=url)
