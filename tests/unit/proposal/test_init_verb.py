"""The verb `init`: what it writes, prints and refuses."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from perennial.catalog.load import read_catalog
from scripts.cli.main import main
from tests.unit.proposal.support import sales, write


def run(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    monkeypatch.setattr(sys, "argv", ["perennial", "init", *words])
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)


@pytest.fixture
def there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    write(tmp_path / "Möbel 2024-03.csv", *sales(60))
    return tmp_path


def test_it_writes_a_catalog_that_can_be_read_and_prints_what_comes_next(
    there: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "Möbel 2024-03.csv", "--label", "Lieferstatus", "--catalog", "my cats") == 0
    assert list(read_catalog(there / "my cats").models) == ["mobel"]
    told = capsys.readouterr().out
    assert "perennial up --catalog 'my cats' --detach" in told
    assert "perennial drop 'Möbel 2024-03.csv' --dataset mobel --wait" in told
    assert "status_code: alone it predicts the label" in told


def test_it_overwrites_only_when_told(
    there: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("Möbel 2024-03.csv", "--catalog", "my")
    assert run(monkeypatch, *words, "--label", "Lieferstatus") == 0
    assert run(monkeypatch, *words, "--label", "Preis €") == 1
    assert "there already" in capsys.readouterr().err
    assert read_catalog(there / "my").model("mobel").task == "multiclass"
    assert run(monkeypatch, *words, "--label", "Preis €", "--force", "--json") == 0
    assert json.loads(capsys.readouterr().out)["task"] == "regression"
    assert read_catalog(there / "my").model("mobel").task == "regression"


def test_names_that_look_like_markup_are_shown_as_they_are(
    there: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [[n % 7 + 0.5, n % 5, n % 2] for n in range(60)]
    write(there / "odd[bold].csv", ["[/red]", "[x", "y"], rows)
    assert run(monkeypatch, "odd[bold].csv", "--label", "y", "--catalog", "my") == 0
    assert "[/red]" in capsys.readouterr().out
    assert run(monkeypatch, "odd[bold].csv", "--label", "[/none]", "--catalog", "other") == 1
    assert "column '[/none]': label: the file has no such column" in " ".join(capsys.readouterr().err.split())


def test_a_name_that_the_catalog_cannot_have_is_refused(
    there: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "Möbel 2024-03.csv", "--label", "Lieferstatus", "--name", "Möbel") == 1
    assert "--name 'Möbel'" in capsys.readouterr().err
    assert not list(there.glob("catalog"))


def test_a_column_that_is_numbers_but_for_a_few_texts_says_so(
    there: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [[n * 1.5 if n != 40 else "ca. 60", n % 5, n % 2] for n in range(80)]
    write(there / "spoilt.csv", ["amount", "x", "y"], rows)
    assert run(monkeypatch, "spoilt.csv", "--label", "y", "--json") == 0
    reasons = {one["name"]: one["reason"] for one in json.loads(capsys.readouterr().out)["columns"]}
    assert "it would be numbers but for values like 'ca. 60'" in reasons["amount"]


@pytest.mark.parametrize("name", ["yes", "no", "true", "on", "off", "null", "y"])
def test_a_file_may_be_called_by_a_word_of_yaml(there: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    write(there / f"{name}.csv", ["x", "y"], [[n % 7, n % 2] for n in range(60)])
    assert run(monkeypatch, f"{name}.csv", "--label", "y", "--catalog", "my", "--json") == 0
    found = read_catalog(there / "my")
    assert (found.contract(name).name, found.model(name).dataset) == (name, name)


def test_a_catalog_that_is_wrong_elsewhere_is_left_as_it_is(
    there: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (there / "my" / "contracts").mkdir(parents=True)
    (there / "my" / "contracts" / "orders.yaml").write_text("name: [unclosed")
    assert run(monkeypatch, "Möbel 2024-03.csv", "--label", "Lieferstatus", "--catalog", "my") == 1
    assert "contracts/orders.yaml" in capsys.readouterr().err
    assert [path.name for path in (there / "my").rglob("*.yaml")] == ["orders.yaml"]


def test_columns_that_no_contract_can_name_are_ignored(
    there: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write(there / "odd.csv", ["x", "a\nb", "c\ufffe", "y"], [[n % 7, n % 3, n % 5, n % 2] for n in range(60)])
    assert run(monkeypatch, "odd.csv", "--label", "y", "--catalog", "my", "--json") == 0
    assert set(json.loads(capsys.readouterr().out)["ignored_columns"]) == {"a\nb", "c\ufffe"}
