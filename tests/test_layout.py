"""The shape of the repository: mirrors of every stage, one way of imports, limits on size."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
LIBRARY = ROOT / "layers" / "core" / "python" / "perennial"
STAGES = sorted(path.parent.name for path in (ROOT / "functions").glob("*/handler.py"))
SOURCES = ("functions", "infra", "layers", "scripts")
TOP_LEVEL = {
    "README.md", "CHANGELOG.md", "LICENSE", "pyproject.toml", "requirements.lock", "cdk.json",
    "functions", "infra", "layers", "tests", "events", "scripts", "docs",
}  # fmt: skip
# Files that may be longer than 300 lines, each with the reason beside it.
LONG_MODULES: dict[str, str] = {
    "scripts/walkthrough.py": "one story from top to bottom, read as one",
}
MUTED_ERRORS = {
    "layers/core/python/perennial/stage.py": "counts a defect and raises it again",
}


def tracked(*folders: str) -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", *folders],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return [ROOT / line for line in listed.stdout.splitlines() if (ROOT / line).is_file()]


def python_files(*folders: str) -> list[Path]:
    return [path for path in tracked(*folders) if path.suffix == ".py"]


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
    return found


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def test_there_are_stages() -> None:
    assert set(STAGES) >= {
        "ingest", "retrain", "train", "evaluate", "register", "approve", "deploy", "predict", "models", "feedback",
    }  # fmt: skip


@pytest.mark.parametrize("stage", STAGES)
def test_every_stage_has_its_construct_sample_event_and_test(stage: str) -> None:
    assert (ROOT / "infra" / "stages" / f"{stage}.py").is_file()
    assert list((ROOT / "events").glob(f"{stage}*.json")), f"events/{stage}*.json is missing"
    assert (ROOT / "tests" / "functions" / f"test_{stage}.py").is_file()


@pytest.mark.parametrize("stage", ["ingest", "retrain", "train", "evaluate", "register", "approve", "deploy", "score"])
def test_every_stage_of_a_workflow_is_a_state_of_its_name(stage: str) -> None:
    snapshots = (ROOT / "tests" / "infra" / "snapshots").glob("*.asl.json")
    assert any(f'"{stage.capitalize()}"' in path.read_text() for path in snapshots)


def test_the_top_level_holds_nothing_else() -> None:
    shown = {path.relative_to(ROOT).parts[0] for path in tracked()}
    assert {entry for entry in shown if not entry.startswith(".")} <= TOP_LEVEL


def test_imports_flow_one_way() -> None:
    wrong = []
    for path in python_files(*SOURCES):
        roots = {module.split(".")[0] for module in imports(path)}
        if "functions" in roots:
            wrong.append(f"{name(path)} imports from functions")
        if path.is_relative_to(LIBRARY) and roots & {"infra", "scripts", "tests"}:
            wrong.append(f"{name(path)} imports from outside the library")
        if path.is_relative_to(ROOT / "functions") and roots & {"infra", "scripts", "tests", "boto3", "botocore"}:
            wrong.append(f"{name(path)} imports more than the library")
    assert not wrong


def test_only_storage_sees_aws() -> None:
    aws = {"boto3", "botocore"}
    wrong = [
        name(path)
        for path in python_files("layers")
        if not path.is_relative_to(LIBRARY / "storage") and {module.split(".")[0] for module in imports(path)} & aws
    ]
    assert not wrong


def test_only_settings_read_the_environment() -> None:
    # predict may not import pydantic, so its bundle's place comes from the one variable that Lambda itself sets
    allowed = {"settings.py"}
    wrong = [
        name(path)
        for path in python_files("layers", "functions")
        if path.name not in allowed
        and "functions/predict" not in name(path)
        and "os.environ" in path.read_text(encoding="utf-8")
    ]
    assert not wrong


def test_nothing_touches_the_import_path() -> None:
    assert not [name(path) for path in python_files(*SOURCES) if "sys.path" in path.read_text(encoding="utf-8")]


def test_no_error_is_caught_without_a_name_in_the_library() -> None:
    wrong = []
    for path in python_files("layers", "functions"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ExceptHandler):
                caught = node.type.id if isinstance(node.type, ast.Name) else None
                bare = node.type is None or caught in {"Exception", "BaseException"}
                if bare and name(path) not in MUTED_ERRORS:
                    wrong.append(f"{name(path)}:{node.lineno}")
    assert not wrong


def test_files_and_functions_stay_small() -> None:
    wrong = []
    for path in python_files(*SOURCES):
        lines = len(path.read_text(encoding="utf-8").splitlines())
        limit = 60 if path.name == "handler.py" else 120 if path.parent.name == "workflows" else 300
        if lines > limit and name(path) not in LONG_MODULES:
            wrong.append(f"{name(path)}: {lines} lines, limit {limit}")
        for function in functions(path):
            length = (function.end_lineno or function.lineno) - function.lineno + 1
            most = 60 if function.name == "__init__" else 50
            if length > most and name(path) not in LONG_MODULES:
                wrong.append(f"{name(path)}: {function.name} has {length} lines, limit {most}")
    assert not wrong, "\n".join(wrong)


def test_no_machine_path_is_written_down() -> None:
    machine_paths = ("/home" + "/", "/root" + "/", "/work" + "/", "/Users" + "/")
    wrong = [
        f"{name(path)}: {prefix}"
        for path in tracked()
        if path.suffix in {".py", ".md", ".yaml", ".json", ".toml", ""}
        for prefix in machine_paths
        if prefix in path.read_text(encoding="utf-8", errors="ignore")
    ]
    assert not wrong


def test_every_imitated_behaviour_names_its_source_and_a_test_that_exists() -> None:
    rows = [line for line in (ROOT / "docs/fidelity.md").read_text(encoding="utf-8").splitlines() if "`test_" in line]
    tests = {path.name for path in (ROOT / "tests").rglob("test_*.py")}
    assert len(rows) > 30
    for row in rows:
        _, source, shown = row.strip("| ").split(" | ")
        assert "https://docs.aws.amazon.com/" in source or source.startswith(("assumed", "–")), row
        assert set(re.findall(r"test_\w+\.py", shown)) <= tests, row


def test_what_deploys_is_pinned_and_gets_no_more_than_it_needs() -> None:
    for path in sorted((ROOT / ".github" / "workflows").glob("*.yml")):
        text = path.read_text(encoding="utf-8")
        workflow = yaml.safe_load(text)
        assert set(workflow["permissions"]) <= {"contents", "id-token"}, name(path)
        assert workflow["permissions"]["contents"] == "read", name(path)
        for used in re.findall(r"uses: (\S+)", text):
            assert re.fullmatch(r"(\./.+|\S+@[0-9a-f]{40})", used), f"{name(path)}: {used}"
        assert "secrets." not in text
    assert ".ci/run" in (ROOT / ".github" / "workflows" / "deploy.yml").read_text(encoding="utf-8")
