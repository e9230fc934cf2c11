"""Settings: sources in order, mistakes named, the shipped file true to the defaults."""

import random
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from serve.settings.tree import Settings, SettingsError, check_file, load_settings

SHIPPED = Path(__file__).parents[3] / "deploy" / "gateway.yaml"


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


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"http: [", "gateway.yaml:1: not YAML"),
        (b"http: {port: 1", "not YAML"),
        (b"\thttp: 1", "gateway.yaml:1: not YAML"),
        (b"http: 'open", "not YAML"),
        (b"a: 1\n---\na: 2\n", "not YAML"),
        (b"http: !!python/object/apply:os.getcwd []", "not YAML"),
        (b"{[1]: 2}", "not YAML|no settings"),
        (b"http: &a [*a, *a", "not YAML"),
        (b"workers: 2026-13-45", "a value cannot be read"),
        (b"- one\n- two\n", "settings are a mapping.*list"),
        (b"just text", "settings are a mapping.*text"),
        (b"42", "settings are a mapping.*number"),
        (b"true", "settings are a mapping.*truth"),
        (b"1: 2", "settings have names"),
        (b"http: {port: 1, port: 2}", "there twice"),
        (b"\xff\xfe\x00h", "not a text file"),
        (bytes(range(256)), "not a text file"),
        (b"a: \x00", "not YAML"),
        (b"[" * 5000, "not YAML"),
    ],
)
def test_a_file_that_is_no_settings_is_one_line(tmp_path: Path, content: bytes, complaint: str) -> None:
    file = tmp_path / "gateway.yaml"
    file.write_bytes(content)
    with pytest.raises(SettingsError, match=complaint) as caught:
        load_settings(file)
    assert str(caught.value).count("\n") == 0
    assert str(file) in str(caught.value)


@given(content=st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
@settings(max_examples=150, deadline=None)
def test_whatever_bytes_a_file_holds_the_error_is_ours(
    content: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    file = tmp_path_factory.mktemp("any") / "gateway.yaml"
    file.write_bytes(content)
    try:
        load_settings(file)
    except SettingsError as error:
        assert str(file) in str(error)


@pytest.mark.parametrize("empty", [b"", b"# nothing\n", b"---\n", b"null\n", b"{}"])
def test_an_empty_file_is_all_defaults(tmp_path: Path, empty: bytes) -> None:
    file = tmp_path / "gateway.yaml"
    file.write_bytes(empty)
    assert load_settings(file).model_dump() == load_settings().model_dump()


def test_all_mistakes_come_at_once_with_their_lines(tmp_path: Path) -> None:
    file = tmp_path / "gateway.yaml"
    file.write_text("http:\n  prot: 1\n  port: eighty\ngrpc: {host: [1]}\nnonsense: 1\nworkers: 0\n")
    with pytest.raises(SettingsError) as caught:
        load_settings(file)
    places = [(mistake.line, mistake.setting) for mistake in caught.value.mistakes]
    assert places == [(2, "http.prot"), (3, "http.port"), (4, "grpc.host"), (5, "nonsense"), (6, "workers")]
    assert "unknown setting `prot`: did you mean `port`?" in str(caught.value)
    assert check_file(file)[1] == list(caught.value.mistakes)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("htpp: {port: 1}", "http"),
        ("grpc: {prot: 1}", "port"),
        ("admission: {max_inflight: 1}", "max_in_flight"),
        ("dispatch: {circuit: {failure: 1}}", "failures"),
        ("access: {keys: [{name: a, sha265: x}]}", "sha256"),
        ("router: {artefact: a}", "artifact"),
        ("Timeout: 3", "timeout_s"),
        ("access: {key_file: a}", "keys_file"),
    ],
)
def test_a_misspelt_setting_is_guessed(tmp_path: Path, text: str, meant: str) -> None:
    file = tmp_path / "gateway.yaml"
    file.write_text(text)
    with pytest.raises(SettingsError, match=f"did you mean `{meant}`"):
        load_settings(file)


def test_every_setting_with_two_letters_swapped_is_guessed() -> None:
    chance = random.Random(0)
    for section, field in Settings.model_fields.items():
        for name in getattr(field.annotation, "model_fields", {}):
            at = chance.randrange(len(name) - 1)
            wrong = name[:at] + name[at + 1] + name[at] + name[at + 2 :]
            if wrong != name:
                with pytest.raises(SettingsError, match=rf"setting {section}\.{wrong}: unknown setting"):
                    load_settings(overrides={section: {wrong: 1}})


@pytest.mark.parametrize(
    ("name", "value", "complaint"),
    [
        ("MOEGATE_HTP__PORT", "1", "MOEGATE_HTTP__PORT"),
        ("MOEGATE_HTTP__PROT", "1", "MOEGATE_HTTP__PORT"),
        ("MOEGATE_DISPATCH__CIRCIUT__OPEN_S", "1", "MOEGATE_DISPATCH__CIRCUIT__OPEN_S"),
        ("MOEGATE_ADMISSION__MAX_INFLIGHT", "1", "MOEGATE_ADMISSION__MAX_IN_FLIGHT"),
        ("moegate_htp__port", "1", "MOEGATE_HTTP__PORT"),
        ("MOEGATE_WORKER", "2", "MOEGATE_WORKERS"),
        ("MOEGATE_TIMEOUT", "2", "MOEGATE_TIMEOUT_S"),
        ("MOEGATE_QUITE__ELSE", "2", "matches no setting"),
        ("MOEGATE_HTTP", "foo", "not JSON"),
        ("MOEGATE_ACCESS__KEYS", "[{", "not JSON"),
        ("MOEGATE_COST__FLEET", "three", "not JSON"),
        ("MOEGATE_HTTP__PORT", "eighty", r"http\.port"),
        ("MOEGATE_WORKERS", "0", "workers"),
    ],
)
def test_a_variable_that_cannot_be_used_is_told(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, complaint: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=complaint) as caught:
        load_settings()
    assert f"environment variable {name}" in str(caught.value)
    assert str(caught.value).count("\n") == 0


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MOEGATE_SERVICE_HOST", "10.0.0.1"),
        ("MOEGATE_GATEWAY_SERVICE_PORT_HTTP", "8000"),
        ("MOEGATE_PORT", "tcp://10.0.0.1:8000"),
        ("MOEGATE_EXPERTS_PORT_9000_TCP_ADDR", "10.0.0.1"),
        ("MOEGATE_TENSOR_PARALLEL", "8"),
        ("MOEGATE_SCREENSHOTS", "here"),
        ("moegate_http__port", "8000"),
        ("MOEGATE_COST__FLEET", '{"inf2.xlarge": 1}'),
        ("OTHER_HTP__PORT", "1"),
    ],
)
def test_other_peoples_variables_are_left_alone(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    load_settings()


@pytest.mark.parametrize(
    "values",
    [
        {"workers": 0},
        {"workers": -1},
        {"workers": True},
        {"workers": 10**6},
        {"timeout_s": 0},
        {"timeout_s": -1.0},
        {"timeout_s": float("inf")},
        {"timeout_s": float("nan")},
        {"timeout_s": 1e12},
        {"http": {"port": -1}},
        {"http": {"port": 65536}},
        {"http": {"port": True}},
        {"http": {"max_connections": 0}},
        {"http": {"max_connections": 10**30}},
        {"http": {"keep_alive_s": 10**9}},
        {"grpc": {"max_message_bytes": -4}},
        {"dispatch": {"patience_s": 1e9}},
        {"dispatch": {"hedge_after_ms": 1e15}},
        {"admission": {"queue_timeout_s": float("inf")}},
        {"cost": {"fleet": {"inf2.xlarge": -1}}},
        {"cost": {"fleet": {"inf2.xlarge": float("inf")}}},
        {"access": {"redis_url": "localhost"}},
        {"tracing": {"endpoint": "localhost:4317"}},
    ],
)
def test_nonsense_is_refused_by_name(values: dict[str, Any]) -> None:
    name, value = next(iter(values.items()))
    dotted = f"{name}.{next(iter(value))}" if isinstance(value, dict) else name
    with pytest.raises(SettingsError, match=dotted):
        load_settings(overrides=values)


@pytest.mark.parametrize(
    "target",
    [
        *("foo", "localhost", ":9000", "localhost:", "localhost:0", "localhost:99999", "localhost:port"),
        *("http://a:1", "::1:9", "a b:1", "", "host:1:2"),
    ],
)
def test_a_target_is_host_and_port(target: str) -> None:
    with pytest.raises(SettingsError, match=r"--target: setting experts\.target: .* is not HOST:PORT"):
        load_settings(overrides={"experts": {"target": target}})


@pytest.mark.parametrize("target", ["127.0.0.1:9000", "[::1]:9000", "experts.moegate.svc:9000", "a_b-c:1"])
def test_targets_that_are(target: str) -> None:
    assert load_settings(overrides={"experts": {"target": target}}).experts.target == target


def test_relative_paths_start_at_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "etc"
    folder.mkdir()
    content = {
        "access": {"keys_file": "keys.yaml"},
        "experts": {"catalog": "../experts.yaml"},
        "tls": {"certificate": "tls/a.pem", "key": "/abs/key.pem"},
        "router": {"artifact": "~/router.npz"},
    }
    (folder / "gateway.yaml").write_text(yaml.safe_dump(content))
    monkeypatch.chdir("/")
    found = load_settings(folder / "gateway.yaml")
    assert found.access.keys_file == folder / "keys.yaml"
    assert found.experts.catalog == folder / "../experts.yaml"
    assert (found.tls.certificate, found.tls.key) == (folder / "tls/a.pem", Path("/abs/key.pem"))
    assert found.router.artifact == Path.home() / "router.npz"
    given = load_settings(folder / "gateway.yaml", {"access": {"keys_file": "here.yaml"}})
    assert given.access.keys_file == Path("here.yaml")  # the command line's start where the command was given
