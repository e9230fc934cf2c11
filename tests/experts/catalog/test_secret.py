"""Only those who know the secret come in, whatever else they send."""

import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experts.catalog.secret import METADATA_KEY, VARIABLE, Guard, Unauthenticated, secret_from_environment

SECRET = "a-secret-of-this-run"
Metadata = tuple[tuple[str, str | bytes], ...]


@pytest.mark.parametrize(
    "metadata",
    [
        ((METADATA_KEY, SECRET),),
        (("X-Moegate-Secret", SECRET),),
        ((METADATA_KEY, SECRET.encode()),),
        (("application", "coder"), ("x-request-timeout-ms", "5"), (METADATA_KEY, SECRET)),
    ],
)
def test_the_right_secret_comes_in(metadata: Metadata) -> None:
    Guard(SECRET).check(metadata)


@pytest.mark.parametrize(
    "metadata",
    [
        (),
        (("application", "coder"),),
        ((METADATA_KEY, ""),),
        ((METADATA_KEY, SECRET[:-1]),),
        ((METADATA_KEY, SECRET + "x"),),
        ((METADATA_KEY, SECRET.upper()),),
        ((METADATA_KEY, f" {SECRET}"),),
        ((METADATA_KEY, "geheim-ä-秘密"),),
        ((METADATA_KEY, b"\xff\xfe"),),
        (("authorization", f"Bearer {SECRET}"),),
        (("x-moegate-secret-bin", SECRET),),
        ((METADATA_KEY, SECRET), (METADATA_KEY, "a guess")),
        ((METADATA_KEY, "a guess"), (METADATA_KEY, SECRET)),
    ],
)
def test_anything_else_stays_outside(metadata: Metadata) -> None:
    with pytest.raises(Unauthenticated) as caught:
        Guard(SECRET).check(metadata)
    assert SECRET not in str(caught.value)


@given(shown=st.one_of(st.text(), st.binary()))
def test_no_guess_comes_in_or_breaks_the_check(shown: str | bytes) -> None:
    guard = Guard(SECRET)
    if shown in (SECRET, SECRET.encode()):
        guard.check(((METADATA_KEY, shown),))
    else:
        with pytest.raises(Unauthenticated):
            guard.check(((METADATA_KEY, shown),))


def test_the_time_of_a_comparison_tells_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[tuple[bytes, bytes]] = []
    monkeypatch.setattr(hmac, "compare_digest", lambda a, b: compared.append((a, b)))
    with pytest.raises(Unauthenticated):
        Guard(SECRET).check(((METADATA_KEY, "a guess"),))
    assert compared == [(b"a guess", SECRET.encode())]


@pytest.mark.parametrize(("value", "secret"), [(None, None), ("", None), (SECRET, SECRET)])
def test_without_a_secret_nobody_is_asked(
    monkeypatch: pytest.MonkeyPatch, value: str | None, secret: str | None
) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    if value is not None:
        monkeypatch.setenv(VARIABLE, value)
    assert secret_from_environment() == secret
    if secret is None:
        Guard(secret).check(())
