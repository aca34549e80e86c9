"""The README's commands exist: each script is there, each verb and option is one of the command line."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import typer

from scripts.cli.main import app

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
COMMANDS = [line.split("#")[0].strip() for block in BLOCKS for line in block.splitlines() if line.split("#")[0].strip()]
GROUP = typer.main.get_command(app)


def verbs() -> list[list[str]]:
    return [shlex.split(line)[1:] for line in COMMANDS if line.startswith("perennial ")]


@pytest.mark.parametrize("words", verbs(), ids=" ".join)
def test_a_verb_of_the_readme_is_one_of_the_command_line(words: list[str]) -> None:
    command = GROUP
    rest = list(words)
    while hasattr(command, "commands") and rest:
        assert rest[0] in command.commands, f"perennial has no verb {rest[0]}"
        command = command.commands[rest.pop(0)]
    options = {option for parameter in command.params for option in parameter.opts}
    assert {word for word in rest if word.startswith("--")} <= options


def test_every_script_of_the_readme_is_there() -> None:
    named = {word for line in COMMANDS for word in line.split() if word.startswith("scripts/")}
    assert named
    for script in named:
        assert (ROOT / script).stat().st_mode & 0o111, f"{script} is not executable"


def test_every_link_of_the_readme_leads_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert (ROOT / target).exists(), target


def test_every_stage_stands_in_the_table() -> None:
    rows = set(re.findall(r"^\| `(\w+)` \|", README, re.MULTILINE))
    assert rows == {path.parent.name for path in (ROOT / "functions").glob("*/handler.py")}
