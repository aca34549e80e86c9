"""An environment (`infra/environments/<name>.yaml`) as a typed model, and the names of what is in it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

FOLDER = Path(__file__).parent / "environments"

# What CloudWatch Logs accepts as retention (API_PutRetentionPolicy).
RetentionDays = Literal[
    1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653
]
Days = Annotated[int, Field(ge=1, le=36500)]
Email = Annotated[str, Field(pattern=r"^[^@\s]+@[^@\s]+\.[^@\s]+$", max_length=254)]
# Lambda runs images from private ECR repositories only; a digest names one image for ever, a tag whatever is behind it.
IMAGE = re.compile(
    r"(?P<account>\d{12})\.dkr\.ecr\.(?P<region>[a-z0-9-]+)\.amazonaws\.com(?:\.cn)?"
    r"/(?P<repository>[a-z0-9]+(?:[._/-]+[a-z0-9]+)*)@(?P<digest>sha256:[0-9a-f]{64})"
)


# vCPU → GiB that Fargate takes with them (Amazon ECS developer guide, task size)
FARGATE_MEMORY = {
    1: range(2, 9),
    2: range(4, 17),
    4: range(8, 31),
    8: range(16, 61, 4),
    16: range(32, 121, 8),
}


class Strict(BaseModel):
    """A misspelt setting is an error, not a default."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Train(Strict):
    """Size of the training task: one of the pairs of vCPU and memory that Fargate takes (`FARGATE_MEMORY`).

    `image` is a ready image to run instead of one that is built with the deployment.
    """

    vcpu: Literal[1, 2, 4, 8, 16]
    memory_gib: int
    timeout_minutes: int = Field(ge=1)
    image: str | None = None

    @field_validator("image")
    @classmethod
    def _pinned(cls, image: str | None) -> str | None:
        if image is None or IMAGE.fullmatch(image):
            return image
        raise ValueError(
            f"{image!r} is not <account>.dkr.ecr.<region>.amazonaws.com/<repository>@sha256:<digest>: Lambda takes "
            "images from private ECR repositories only, and behind a tag there may be another image tomorrow"
        )

    @model_validator(mode="after")
    def _paired(self) -> Train:
        taken = FARGATE_MEMORY[self.vcpu]
        if self.memory_gib in taken:
            return self
        steps = f" in steps of {taken.step}" if taken.step > 1 else ""
        raise ValueError(
            f"Fargate takes {taken[0]} to {taken[-1]} GiB{steps} with {self.vcpu} vCPU, not {self.memory_gib}"
        )


class Predict(Strict):
    """Size of one predict function, and how many of its newest Lambda versions are kept (never fewer than serve).

    `snap_start`: Lambda starts each published version once and copies it from then on; every kept version costs money
    for as long as it is kept (docs/cost.md).
    """

    memory_mib: int = Field(ge=256, le=10240)
    timeout_seconds: int = Field(ge=1, le=29)
    kept_versions: int = Field(default=10, ge=2, le=100)
    snap_start: bool = False


class Score(Strict):
    """Rows of a range of a file that is scored, and how many ranges of one file are scored at once.

    With many more than a million rows to a file, take larger ranges: there are to be fewer than 10,000 of them.
    """

    range_rows: int = Field(ge=1, le=1_000_000)
    concurrency: int = Field(ge=1, le=1000)


class Approval(Strict):
    """Whether a person has to approve a version before it is deployed, and how long it waits for that."""

    required: bool
    timeout_days: int = Field(default=7, ge=1, le=300)


class Api(Strict):
    """Throttling of the HTTP API: steady requests per second, and burst."""

    rate: int = Field(ge=1)
    burst: int = Field(ge=1)


class Environment(Strict):
    """Everything that may differ between dev, staging and prod."""

    name: str = Field(pattern=r"^[a-z][a-z0-9]{0,15}$")
    architecture: Literal["x86_64", "arm64"]
    python: Literal["3.12", "3.13", "3.14"]
    removal: Literal["destroy", "retain"]
    log_retention_days: RetentionDays
    staging_days: Days
    noncurrent_days: Days
    ledger_retention_days: Days
    prediction_log_days: Days
    alert_emails: list[Email] = []
    tracing: bool
    dashboard: bool = True
    train: Train
    predict: Predict
    score: Score
    approval: Approval
    api: Api

    @model_validator(mode="after")
    def _outlasting(self) -> Environment:
        """What a training was asked lies in its workspace, and is read once more when its execution ends."""
        days = self.approval.timeout_days
        if self.approval.required and days >= self.staging_days:
            raise ValueError(
                f"approval.timeout_days ({days}) must be less than staging_days ({self.staging_days}): "
                "a version may wait no longer than the workspace of its run is kept"
            )
        return self

    @classmethod
    def load(cls, name: str, folder: Path = FOLDER) -> Environment:
        """The environment `name`. Raises FileNotFoundError, or pydantic's ValidationError naming each wrong setting."""
        settings = yaml.safe_load((folder / f"{name}.yaml").read_text(encoding="utf-8"))
        return cls(name=name, **settings)

    def resource(self, thing: str) -> str:
        """Physical name of a resource: `perennial-<env>-<thing>`."""
        return f"perennial-{self.name}-{thing}"

    @property
    def predict_prefix(self) -> str:
        """Function name of a model, without the model."""
        return self.resource("predict-")

    @property
    def bus(self) -> str:
        """Name of Perennial's own event bus."""
        return f"perennial-{self.name}"

    @property
    def glue_database(self) -> str:
        """Name of the Glue database; Athena identifiers take no hyphens."""
        return f"perennial_{self.name}"

    def parameter(self, thing: str) -> str:
        """Name of the SSM parameter that says where `thing` is."""
        return f"/perennial/{self.name}/{thing}"
