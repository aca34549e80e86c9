"""The verb `drop`: it waits for the batch that ingestion makes, and refuses what ingestion would pass over."""

from __future__ import annotations

import io
import json
import re
import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import pytest

from functions.ingest.handler import lambda_handler
from scripts.cli.main import main
from tests.crash import When
from tests.crash.calls import heard_by, unheard
from tests.functions.conftest import EVENTS, World
from tests.functions.test_ingest import GOOD, ready

__all__ = ["ready"]


@pytest.fixture
def deployed(ready: World) -> World:
    """What the verb needs to find the world."""
    for name, value in (("data-bucket", ready.data.bucket), ("registry-table", ready.registry.table)):
        ready.client("ssm").put_parameter(Name=f"/perennial/dev/{name}", Value=value, Type="String")
    return ready


def dropped(world: World, path: Path, dataset: str) -> int:
    """The verb's exit status. Each upload is ingested as its event comes."""

    def event(when: When, operation: str) -> None:
        if (when, operation) != ("after-call", "s3.PutObject"):
            return
        with unheard(), redirect_stdout(io.StringIO()):
            (entry,) = world.data.entries("raw/")
            told: dict[str, Any] = json.loads((EVENTS / "ingest.json").read_text("utf-8"))
            told["detail"]["bucket"]["name"] = world.data.bucket
            told["detail"]["object"] = {"key": entry.key, "size": entry.size, "etag": entry.etag}
            lambda_handler({"detail": told["detail"], "as_of": told["time"]}, None)

    world.patch.setattr(
        sys, "argv", ["perennial", "drop", str(path), "--dataset", dataset, "--wait", "--timeout", "2", "--json"]
    )
    with heard_by(event), pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)


@pytest.mark.parametrize(
    ("dataset", "status", "judged"), [("tiny", "accepted", "tiny"), ("Sales", "refused", "_unknown")]
)
def test_it_waits_for_the_batch_that_ingestion_makes(
    deployed: World, tmp_path: Path, capsys: pytest.CaptureFixture[str], dataset: str, status: str, judged: str
) -> None:
    (tmp_path / "a.csv").write_bytes(GOOD)

    code = dropped(deployed, tmp_path / "a.csv", dataset)

    told = json.loads(capsys.readouterr().out)
    assert (told["status"], told["dataset"], code) == (status, judged, 0 if status == "accepted" else 1)
    assert told["key"] == f"raw/{dataset}/a.csv"


@pytest.mark.parametrize("name", ["_x.csv", ".x.csv"])
def test_a_file_that_ingestion_would_pass_over_is_not_uploaded(
    deployed: World, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    (tmp_path / name).write_bytes(GOOD)

    assert dropped(deployed, tmp_path / name, "tiny") == 1

    told = capsys.readouterr()
    assert name in told.out + told.err
    assert "hidden name" in told.out + told.err
    assert list(deployed.data.list("")) == []


CORPORA = Path(__file__).resolve().parents[3] / "shared" / "corpora"
# what makes a name of a folder, or none at all
NAMELESS = re.compile(r"[/\0]|^\s*$")


@pytest.mark.skipif(not CORPORA.is_dir(), reason="../shared/corpora/naughty-strings is not here")
def test_naughty_strings_are_names_of_files(
    deployed: World, tmp_path: Path, capsys: pytest.CaptureFixture[str], request: pytest.FixtureRequest
) -> None:
    """Every sixtieth of them; all with --full. A name is accepted, or refused as hidden, and never breaks anything."""
    found = json.loads((CORPORA / "naughty-strings" / "blns.json").read_text("utf-8"))
    texts = [text for text in found if not NAMELESS.search(text) and len(text.encode()) < 240]
    names = [f"{text}.csv" for text in texts[:: 1 if request.config.getoption("--full") else 60]]
    # markup of the terminal's, a name of Windows, an escape sequence
    for name in [*names, "[bold]a.csv", "con.csv", "\x1b[31mred.csv", "a%2Fb+c d.csv"]:
        (tmp_path / name).write_bytes(GOOD)
        code = dropped(deployed, tmp_path / name, "tiny")
        told = capsys.readouterr()
        if name[0] in "._":
            assert (code, "hidden name" in told.out + told.err) == (1, True), name
            continue
        assert code == 0, (name, told)
        assert json.loads(told.out)["key"] == f"raw/tiny/{name}"
        deployed.client("s3").delete_object(Bucket=deployed.data.bucket, Key=f"raw/tiny/{name}")
