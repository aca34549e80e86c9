"""The README's commands are run by tests; those of all documents exist: scripts, verbs, options, AWS operations."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import botocore.session
import pytest
import typer

from scripts.cli.main import app

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
COMMANDS = [line.split("#")[0].strip() for block in BLOCKS for line in block.splitlines() if line.split("#")[0].strip()]
DOCS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
GROUP = typer.main.get_command(app)

# What stands for a command of the README where test_clients does not run it literally: the start of the command, and
# the test file with the words that run it.
RUN_BY = {
    "scripts/demo": ("tests/demos.py", '"scripts" / "demo"'),
    "scripts/test": (".ci/run", "scripts/test"),
    "scripts/setup": ("scripts/test", "scripts/setup"),
    "export PATH=": ("tests/local/shop.py", '"PATH": path'),
    "perennial up": ("tests/local/shop.py", '"up", "--detach"'),
    "perennial down": ("tests/local/shop.py", '"down"'),
    "eval": ("tests/local/test_clients.py", 'eval "$(perennial env)"'),
    "cdk synth": ("tests/infra/test_synth.py", '["app"]'),
    "cdk diff": ("tests/infra/test_synth.py", '["app"]'),
    "cdk deploy": ("tests/infra/test_synth.py", '["app"]'),
    "perennial rollback": ("tests/local/test_redeploy.py", '"rollback"'),
    "perennial retrain": ("tests/local/test_triggers.py", '"retrain", "returns"'),
    "perennial feedback": ("tests/local/test_feedback.py", '"feedback", "returns"'),
    "perennial outcomes": ("tests/local/test_feedback.py", '"outcomes", "returns"'),
    "perennial challenge": ("tests/local/test_experiment.py", '"challenge"'),
    "perennial experiment": ("tests/local/test_experiment.py", '"experiment"'),
    "perennial promote": ("tests/local/test_operate.py", '"promote"'),
    'context="$(PYTHONPATH=. .venv/bin/python -m infra.assets': ("tests/infra/test_image.py", "infra.assets"),
}
# What no test can run: it needs Docker and a registry to push to, or an account.
NOT_RUN = ("docker build ", "docker push ", "cdk bootstrap")


def run_by_clients() -> list[str]:
    """The commands of the README that test_clients runs as they stand."""
    return [line for line in COMMANDS if not line.startswith((*RUN_BY, *NOT_RUN))]


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


def test_every_verb_speaks_json() -> None:
    commands = dict(GROUP.commands)  # type: ignore[attr-defined]
    commands |= {f"ledger {name}": command for name, command in commands.pop("ledger").commands.items()}
    assert [
        name for name, command in commands.items() if "--json" not in {o for p in command.params for o in p.opts}
    ] == []


def test_every_command_of_the_readme_is_run_by_a_test() -> None:
    for start, (file, words) in RUN_BY.items():
        assert any(line.startswith(start) for line in COMMANDS), f"the README no longer says {start}"
        assert words in (ROOT / file).read_text(encoding="utf-8"), f"{file} does not run {start}"
    assert {line.split()[0] for line in run_by_clients()} == {"perennial", "aws", "curl"}


def test_the_cdk_command_line_runs_the_app_that_is_tested() -> None:
    assert '.venv/bin/python -m infra.app"' in (ROOT / "cdk.json").read_text(encoding="utf-8")


def operations() -> list[tuple[str, str, str]]:
    """Document, service and operation of every AWS command in backquotes."""
    return [
        (path.name, *found)
        for path in DOCS
        for text in re.findall(r"`([^`]+)`", path.read_text(encoding="utf-8"))
        for found in re.findall(r"\baws ([a-z0-9]+) ([a-z-]+)", text)
    ]


@pytest.mark.parametrize(("document", "service", "operation"), operations(), ids=" ".join)
def test_an_aws_command_of_a_document_is_an_operation(document: str, service: str, operation: str) -> None:
    if service == "s3":
        assert operation in {"cp", "ls", "mv", "rm", "sync"}
        return
    model = botocore.session.get_session().get_service_model(service)
    assert operation.replace("-", "") in {name.lower() for name in model.operation_names}


def test_a_verb_of_a_document_is_one_of_the_command_line() -> None:
    for path in DOCS:
        for verb in re.findall(r"`perennial ([a-z]+)", path.read_text(encoding="utf-8")):
            assert verb in getattr(GROUP, "commands", {}), f"{path.name}: perennial {verb}"


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
