"""A key is found by its digest, however many there are; whoever has none, or a wrong one, is told so."""

import hashlib
import timeit

import pytest

from serve.access.keys import KeyRing
from serve.errors import OperatorOnly, Unauthorized
from serve.request import ANYONE
from serve.settings.access import KeySettings


def digest(key: str) -> str:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()


def ring(count: int) -> KeyRing:
    return KeyRing(KeySettings(name=f"n{i}", sha256=digest(f"mg-{i}"), rpm=i + 1) for i in range(count))


def test_each_key_is_its_owners() -> None:
    keys = ring(1000)
    for i in (0, 1, 500, 999):
        caller = keys.identify(f"Bearer mg-{i}")
        assert (caller.name, caller.limit.rpm) == (f"n{i}", i + 1)


def test_only_an_operator_passes_where_there_are_keys_and_everybody_where_there_are_none() -> None:
    keys = KeyRing(
        [KeySettings(name="o", sha256=digest("o"), operator=True), KeySettings(name="u", sha256=digest("u"))]
    )
    keys.check_operator(keys.identify("Bearer o"), "usage is shown to")
    with pytest.raises(OperatorOnly, match="usage is shown to keys with 'operator: true' alone"):
        keys.check_operator(keys.identify("Bearer u"), "usage is shown to")
    KeyRing(()).check_operator(ANYONE, "usage is shown to")


@pytest.mark.parametrize(
    "shown",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        "Basic mg-1",
        "mg-1",
        "Bearer mg-",
        "Bearer mg-10",
        "Bearer MG-1",
        f"Bearer {digest('mg-1')}",  # the digest is no key
        "Bearer " + "x" * 100_000,
        "Bearer \udcff\udcfe",
        "Bearer mg-1\x00",
    ],
)
def test_everything_else_is_refused(shown: str | None) -> None:
    with pytest.raises(Unauthorized):
        ring(10).identify(shown)


@pytest.mark.parametrize("shown", ["Bearer mg-1", "bearer mg-1", "BEARER  mg-1  "])
def test_the_scheme_is_read_in_any_case(shown: str) -> None:
    assert ring(10).identify(shown).name == "n1"


def test_without_keys_anybody_may_come_in() -> None:
    assert KeyRing(()).identify(None) is ANYONE


def test_ten_thousand_keys_cost_no_more_than_ten() -> None:
    few, many = ring(10), ring(10_000)

    def seconds(keys: KeyRing) -> float:
        return min(timeit.repeat(lambda: keys.identify("Bearer mg-9"), number=100, repeat=30))

    assert seconds(many) < 5 * seconds(few)  # a scan costs forty times as much
