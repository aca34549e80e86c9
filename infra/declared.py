"""What the app needs of a catalog: which models to serve, when to train them, which tables to declare.

Reads the YAML files themselves, so that synthesis neither imports the training stack nor fails on what only a run can
judge; the stages read the same files with all their checks.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field

NAME = r"^[a-z][a-z0-9-]{0,39}$"


class Loose(BaseModel):
    """Reads the fields named here and leaves the others to the stages."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class When(Loose):
    """`train.when` of a model: here only its schedule (a Scheduler expression, UTC)."""

    schedule: str | None = None


class Training(Loose):
    """`train` of a model."""

    when: When = When()


class Model(Loose):
    """A model of the catalog."""

    name: str = Field(pattern=NAME)
    train: Training = Training()


class Column(Loose):
    """One property of an ODCS schema."""

    name: str
    logical_type: str = Field(default="string", alias="logicalType")
    physical_type: str | None = Field(default=None, alias="physicalType")
    description: str | None = None


class Dataset(Loose):
    """The schema object of a contract (ODCS v3)."""

    name: str = Field(pattern=NAME)
    description: str | None = None
    properties: list[Column]


@dataclass(frozen=True)
class Catalog:
    """The declared models and datasets, in order of name."""

    folder: Path
    models: tuple[Model, ...]
    datasets: tuple[Dataset, ...]

    @classmethod
    def read(cls, folder: Path) -> Catalog:
        """Read `contracts/*.yaml` and `models/*.yaml`. Raises pydantic's ValidationError naming what is wrong."""
        models = [Model.model_validate(document) for document in _documents(folder / "models")]
        datasets = [Dataset.model_validate(document["schema"][0]) for document in _documents(folder / "contracts")]
        return cls(
            folder=folder,
            models=tuple(sorted(models, key=lambda model: model.name)),
            datasets=tuple(sorted(datasets, key=lambda dataset: dataset.name)),
        )


def _documents(folder: Path) -> list[dict[str, Any]]:
    return [yaml.safe_load(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.yaml"))]
