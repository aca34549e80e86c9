"""What the command line says to a user's mistake: a line that names it, a status other than 0, no traceback."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.cli import local
from scripts.cli.main import main


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No local cloud, no AWS account."""
    monkeypatch.setattr(local, "WORKDIR", tmp_path / "state")
    for name in ("AWS_ENDPOINT_URL", "AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION", "PERENNIAL_ENV"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("COLUMNS", "80")


def said(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *words: str, status: int = 1) -> str:
    monkeypatch.setattr(sys, "argv", ["perennial", *words])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == status
    return capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["up", "--env", "qa"], "perennial: no environment 'qa'; infra/environments has dev, prod, staging"),
        (["up", "--env", "[n]"], "no environment '[n]'"),
        (["tick", "5m"], "no local cloud is running here; start one with `perennial up --detach`"),
        (["env"], "no local cloud is running here"),
        (
            ["ledger", "show", "flights"],
            "no subject of the ledger can be called 'flights'; subjects are dataset/<name>,",
        ),
        (["ledger", "verify", "model/a/b"], "no subject of the ledger can be called 'model/a/b'"),
        (["status"], "no deployment of environment 'dev' found on AWS: You must specify a region.\nStart one with"),
    ],
)
def test_a_mistake_is_told_in_a_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, words: list[str], told: str
) -> None:
    assert told in said(capsys, monkeypatch, *words)


def test_a_catalog_with_an_error_is_told_by_file_before_anything_is_synthesized(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert f"no contracts in {tmp_path}" in said(capsys, monkeypatch, "up", "--catalog", str(tmp_path))
    (tmp_path / "contracts").mkdir()
    (tmp_path / "contracts" / "orders.yaml").write_text("name: [unclosed")
    told = said(capsys, monkeypatch, "up", "--catalog", str(tmp_path))
    assert "contracts/orders.yaml" in told
    assert "Traceback" not in told


def test_a_file_that_cannot_be_read_or_written_is_told_in_a_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "sales.csv").write_text("x,y\n" + "".join(f"{n % 7},{n % 2}\n" for n in range(60)))
    words = ("init", str(tmp_path / "sales.csv"), "--label", "y", "--catalog")
    assert said(capsys, monkeypatch, *words, "/proc/x") == "perennial: /proc/x: No such file or directory\n"
    folder = tmp_path / "catalog" / "contracts" / "sales.yaml"
    folder.mkdir(parents=True)
    told = said(capsys, monkeypatch, *words, str(tmp_path / "catalog"), "--force")
    assert told == f"perennial: {folder}: Is a directory\n"


@pytest.mark.parametrize("words", [["up", "--port", "99999"], ["drop", "no-such-file", "--dataset", "d"], ["dorp"]])
def test_a_wrong_word_shows_how_perennial_is_used(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    assert "Usage: perennial " in said(capsys, monkeypatch, *words, status=2)


def test_no_verb_loads_the_local_cloud() -> None:
    """It takes seconds, and reads the caller's AWS settings as it loads."""
    program = "import scripts.cli.main, sys; print([name for name in ('moto', 'sklearn') if name in sys.modules])"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "AWS_PROFILE": "of-somebody-else"}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.strip() == "[]"
