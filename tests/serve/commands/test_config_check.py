"""`moegate config check FILE`: every mistake with file and line, in the files it names as well; exit 0 or 1."""

from pathlib import Path

import orjson
import pytest

from serve.cli import main

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("file", ["gateway.yaml", "experts.yaml"])
def test_the_shipped_files(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "check", str(ROOT / "deploy" / file)]) == (0 if file == "gateway.yaml" else 1)
    told = capsys.readouterr()
    assert ("no mistake" in told.out) == (file == "gateway.yaml")
    assert ("experts.yaml:" in told.err) == (file == "experts.yaml")  # a catalogue is no settings file


def test_all_mistakes_at_once_for_people_and_for_scripts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "gateway.yaml"
    file.write_text("http:\n  prot: 1\ngrpc:\n  port: -1\nworkers: 0\n")
    assert main(["config", "check", str(file)]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(": ")[0] for line in lines] == [f"{file}:{n}" for n in (2, 4, 5)]
    assert main(["config", "check", str(file), "--json"]) == 1
    found = orjson.loads(capsys.readouterr().out)
    assert (found["ok"], found["file"]) == (False, str(file))
    assert [(one["line"], one["setting"]) for one in found["mistakes"]] == [
        (2, "http.prot"),
        (4, "grpc.port"),
        (5, "workers"),
    ]
    file.write_text("http: {port: 80}\n")
    assert main(["config", "check", str(file), "--json"]) == 0
    assert orjson.loads(capsys.readouterr().out) == {"file": str(file), "ok": True, "mistakes": []}


def test_the_environment_adds_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "gateway.yaml").write_text("workers: 0\n")
    monkeypatch.setenv("MOEGATE_WORKERS", "2")
    assert main(["config", "check", str(tmp_path / "gateway.yaml")]) == 1


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ("access: {keys_file: nowhere.yaml}", "nowhere.yaml: cannot be read"),
        ("access: {keys_file: broken.yaml}", "broken.yaml:1: not YAML"),
        ("access: {keys_file: keys.yaml}", "keys.yaml:1: keys.0.sha256: Field required"),
        ("http: {host: 0.0.0.0}", "no API key is asked for"),
        ("tls: {certificate: nowhere.pem, key: nowhere.pem}", "nowhere.pem does not exist"),
        ("experts: {catalog: nowhere.yaml}", "nowhere.yaml: cannot be read"),
        ("experts: {catalog: broken.yaml}", "broken.yaml:1: not YAML"),
        ("experts: {catalog: keys.yaml}", "a catalogue is a mapping"),
        ("cost: {prices: nowhere.yaml}", "nowhere.yaml: cannot be read"),
        ("cost: {prices: broken.yaml}", "broken.yaml:1: not YAML"),
        ("cost: {prices: keys.yaml}", "setting cost.prices: "),
        ("cost: {baseline_expert: nobody}", "nobody"),
        ("toolsets: {file: nowhere.yaml}", "nowhere.yaml: cannot be read"),
        ("toolsets: {file: broken.yaml}", "broken.yaml:1: not YAML"),
        ("toolsets: {file: keys.yaml}", "setting toolsets: "),
        ("router: {artifact: keys.yaml}", "artefact"),
        ("router: {artifact: nowhere.npz}", "artefact"),
    ],
)
def test_files_that_it_names_are_looked_at(
    tmp_path: Path, settings: str, complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "broken.yaml").write_text("keys: [")
    (tmp_path / "keys.yaml").write_text("- name: alice\n")
    (tmp_path / "gateway.yaml").write_text(settings)
    assert main(["config", "check", str(tmp_path / "gateway.yaml")]) == 1
    assert complaint in capsys.readouterr().err


@pytest.mark.parametrize("prices", ["nowhere.yaml", "broken.yaml", "list.yaml"])
def test_a_broken_price_list_is_no_mistake_of_the_catalogue(
    tmp_path: Path, prices: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "broken.yaml").write_text("keys: [")
    (tmp_path / "list.yaml").write_text("- name: alice\n")
    (tmp_path / "gateway.yaml").write_text(f"cost: {{prices: {prices}}}")
    assert main(["config", "check", str(tmp_path / "gateway.yaml")]) == 1
    said = capsys.readouterr().err
    assert "setting cost.prices: " in said
    assert "experts.catalog" not in said
