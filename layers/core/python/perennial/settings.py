"""The typed environment: one class per stage, and the only reader of os.environ.

The construct of a stage fills the variables from the same field names (`DATA_BUCKET` ↔ `data_bucket`).
"""

from __future__ import annotations

import os
from typing import Self

from pydantic import BaseModel, ConfigDict


def set_before_import(name: str, value: str) -> None:
    """Set a variable that a native library reads when it is loaded, unless the environment has set it already."""
    os.environ.setdefault(name, value)


class Settings(BaseModel):
    """What every stage knows about where it runs."""

    model_config = ConfigDict(frozen=True)

    environment: str

    @classmethod
    def from_environment(cls) -> Self:
        """Read this stage's variables; pydantic's ValidationError names each one that is missing."""
        return cls.model_validate(
            {name: os.environ[name.upper()] for name in cls.model_fields if name.upper() in os.environ}
        )


class CatalogSettings(Settings):
    """Where the catalog of this deployment lies (a zip in the assets bucket)."""

    catalog_bucket: str
    catalog_key: str


class LedgerSettings(Settings):
    """Where decisions are recorded; the registry table keeps the ledger's index."""

    ledger_bucket: str
    registry_table: str


class IngestSettings(CatalogSettings, LedgerSettings):
    """Stage ingest."""

    data_bucket: str
    bus: str
    glue_database: str


class FeedbackSettings(CatalogSettings, LedgerSettings):
    """Stage feedback."""

    data_bucket: str
    bus: str


class RetrainSettings(CatalogSettings, LedgerSettings):
    """Stage retrain (the governor)."""

    data_bucket: str
    triggers_table: str
    bus: str
    lifecycle_workflow: str


class TrainSettings(CatalogSettings, LedgerSettings):
    """Stage train (a Fargate task); `run_request` is the S3 key of the run's request.

    With `tune_chunk`, the task searches parameters among the candidates of that chunk and trains nothing.
    """

    data_bucket: str
    run_request: str
    tune_chunk: int | None = None


class EvaluateSettings(CatalogSettings, LedgerSettings):
    """Stage evaluate."""

    data_bucket: str


class RegisterSettings(CatalogSettings, LedgerSettings):
    """Stage register; with `approval_required`, a version that passed its gates still waits for a person."""

    data_bucket: str
    bus: str
    approval_required: bool


class ApproveSettings(LedgerSettings):
    """Stage approve; a version waits `approval_days` for a person."""

    approvals_table: str
    bus: str
    alerts_topic: str
    promotion_workflow: str
    approval_days: int


class DeploySettings(CatalogSettings, LedgerSettings):
    """Stage deploy; `predict_prefix` + model name is the function that serves the model.

    `kept_versions` of its newest Lambda versions are kept.
    """

    data_bucket: str
    bus: str
    predict_prefix: str
    kept_versions: int


class ScoreSettings(CatalogSettings, LedgerSettings):
    """Stage score; a file is scored in ranges of `range_rows` rows."""

    data_bucket: str
    bus: str
    range_rows: int


class MonitorSettings(CatalogSettings, LedgerSettings):
    """Stage monitor; recorded predictions are kept for `prediction_log_days`."""

    data_bucket: str
    bus: str
    prediction_log_days: int


class ModelsSettings(CatalogSettings):
    """Stage models."""

    registry_table: str
    predict_prefix: str
