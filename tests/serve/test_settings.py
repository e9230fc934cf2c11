"""Settings: sources in order, mistakes named, the shipped file true to the defaults."""

from pathlib import Path

import pytest

from serve.settings import SettingsError, load_settings

SHIPPED = Path(__file__).parents[2] / "deploy" / "gateway.yaml"


def test_the_shipped_file_spells_out_the_defaults() -> None:
    assert load_settings(SHIPPED).model_dump() == load_settings().model_dump()


def test_strongest_source_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "gateway.yaml"
    file.write_text("http: {port: 1, host: file}\ntimeout_s: 7\n")
    monkeypatch.setenv("MOEGATE_HTTP__PORT", "2")
    monkeypatch.setenv("MOEGATE_CONFIG", str(file))
    settings = load_settings(overrides={"http": {"host": "line"}})
    assert (settings.http.host, settings.http.port, settings.timeout_s) == ("line", 2, 7)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [("http: {prot: 1}", "http.prot"), ("http: {port: eighty}", "http.port"), ("nonsense: 1", "nonsense")],
)
def test_mistakes_are_named(tmp_path: Path, text: str, complaint: str) -> None:
    file = tmp_path / "gateway.yaml"
    file.write_text(text)
    with pytest.raises(SettingsError, match=complaint):
        load_settings(file)


def test_the_experts_secret_comes_from_the_environment_and_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOEGATE_EXPERTS__SECRET", "0123456789abcdef")
    settings = load_settings()
    assert settings.experts.secret == "0123456789abcdef"
    assert "0123456789abcdef" not in repr(settings)


@pytest.mark.parametrize(
    "secret", ["", "too short", "with a space in it", "line\nbreak-line-break", "geheim-ä-geheim-ä"]
)
def test_a_secret_that_no_header_carries_is_refused_unseen(monkeypatch: pytest.MonkeyPatch, secret: str) -> None:
    monkeypatch.setenv("MOEGATE_EXPERTS__SECRET", secret)
    with pytest.raises(SettingsError, match=r"experts\.secret") as caught:
        load_settings()
    assert not secret or secret not in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="does not exist"):
        load_settings(tmp_path / "nothing.yaml")
