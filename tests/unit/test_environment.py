"""Environments: what is wrong in a file of settings is said before anything is synthesized."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from infra.environment import FARGATE_MEMORY, FOLDER, Environment, Train

SIZES = [(vcpu, memory) for vcpu in FARGATE_MEMORY for memory in range(130)]


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.yaml")), ids=lambda path: path.stem)
def test_the_shipped_environments_are_whole(path: Path) -> None:
    assert Environment.load(path.stem).name == path.stem


def test_fargate_takes_as_many_sizes_as_its_guide_lists() -> None:
    taken = [size for size in SIZES if accepted(*size)]
    assert {vcpu: len([1 for each, _ in taken if each == vcpu]) for vcpu in FARGATE_MEMORY} == {
        1: 7,
        2: 13,
        4: 23,
        8: 12,
        16: 12,
    }


@pytest.mark.parametrize(
    ("vcpu", "memory", "says"),
    [
        (1, 16, "Fargate takes 2 to 8 GiB with 1 vCPU, not 16"),
        (4, 31, "Fargate takes 8 to 30 GiB with 4 vCPU, not 31"),
        (8, 18, "Fargate takes 16 to 60 GiB in steps of 4 with 8 vCPU, not 18"),
        (16, 36, "Fargate takes 32 to 120 GiB in steps of 8 with 16 vCPU, not 36"),
    ],
)
def test_a_size_that_fargate_does_not_take_is_refused_with_those_it_takes(vcpu: int, memory: int, says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        Train.model_validate({"vcpu": vcpu, "memory_gib": memory, "timeout_minutes": 5})


def test_a_version_waits_for_approval_no_longer_than_its_workspace_is_kept(tmp_path: Path) -> None:
    """The governor reads the run's request once more when the execution ends."""
    prod = (FOLDER / "prod.yaml").read_text(encoding="utf-8")
    for days in (29, 30):
        text = prod.replace("timeout_days: 7", f"timeout_days: {days}")
        (tmp_path / f"made{days}.yaml").write_text(text, encoding="utf-8")
    assert Environment.load("made29", tmp_path).approval.timeout_days == 29
    with pytest.raises(ValidationError, match=r"approval.timeout_days \(30\) must be less than staging_days \(30\)"):
        Environment.load("made30", tmp_path)
    where = (tmp_path / "made30.yaml").read_text(encoding="utf-8").replace("required: true", "required: false")
    (tmp_path / "made30.yaml").write_text(where, encoding="utf-8")
    assert not Environment.load("made30", tmp_path).approval.required


def accepted(vcpu: int, memory: int) -> bool:
    try:
        Train.model_validate({"vcpu": vcpu, "memory_gib": memory, "timeout_minutes": 5})
    except ValidationError:
        return False
    return True
