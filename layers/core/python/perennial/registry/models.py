"""What the registry knows of a model version, and of the champion."""

from __future__ import annotations

from datetime import UTC
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from perennial.serving.assignment import MAX_SALT, checked_share

State = Literal["registering", "registered", "unapproved", "refused", "deployed"]

Instant = Annotated[AwareDatetime, AfterValidator(lambda at: at.astimezone(UTC))]


class _Entry(BaseModel):
    # an item has pk and sk besides, and later releases may add attributes that an older one need not know
    model_config = ConfigDict(frozen=True, extra="ignore")


class DatasetUse(_Entry):
    """A dataset version that a model version was trained on."""

    dataset: str
    version: int
    content_sha256: str
    rows: int


class Origin(_Entry):
    """Where a promoted version comes from: `version` of environment `environment`, made by `run`, with `sha256`.

    `bucket` is that environment's; `by` is the ARN under which it was promoted, as that caller was told it.
    """

    environment: str
    bucket: str
    version: int
    run: str
    sha256: str
    by: str
    at: Instant


class Experiment(_Entry):
    """What an experiment is to show, fixed before its first row.

    A `share` of the entities, which the inputs named by `entity` tell apart, meet the challenger, by their hash with
    `salt`; the two are compared by `metric` and by value, each at error probability `alpha`.
    """

    champion: int
    challenger: int
    share: Annotated[float, AfterValidator(checked_share)]
    entity: tuple[str, ...] = Field(min_length=1)
    salt: str = Field(min_length=1, max_length=MAX_SALT)
    metric: str
    alpha: float = Field(gt=0, lt=0.5)

    @model_validator(mode="after")
    def _two(self) -> Experiment:
        if self.champion == self.challenger:
            raise ValueError(f"version {self.champion} cannot be its own challenger")
        return self


class Carrier(_Entry):
    """A published Lambda version that carries a model version, and what identifies the code that it runs.

    `code_sha256` as Lambda gives it (base64), `layers` as ARNs of layer versions, `runtime` as Lambda calls it. During
    an `experiment` it carries the challenger too.
    """

    lambda_version: str
    code_sha256: str
    layers: list[str] = Field(default=[])
    runtime: str | None = None
    experiment: Experiment | None = None


class Review(_Entry):
    """What a person made of a version that waited for approval; `expired` when nobody decided in time."""

    verdict: Literal["approved", "rejected", "expired"]
    by: str | None = None
    reason: str
    at: Instant


class ModelVersion(_Entry):
    """An immutable model version; only its state and what Lambda made of it change.

    `registering`: numbered, its directory is being written (it is shown nowhere). `registered`: may be deployed.
    `unapproved`: may not, unless a person approves it. `refused`: by its gates or a person, never deployable.
    `deployed`: the champion. `sha256` is the digest of manifest.json. What it last ran as (Carrier) is known once it
    was published; its `lambda_version` only for as long as Lambda keeps that one. `trained_until` is the event time of
    the newest row that it was fitted on, `refused_for` what the gates say that it did not pass.
    """

    model: str
    version: int
    run: str
    state: State
    metrics: dict[str, float] = Field(default={})
    sha256: str = ""
    prefix: str
    algorithm: str | None = None
    datasets: list[DatasetUse] = Field(default=[])
    trained_until: str | None = None
    refused_for: list[str] = Field(default=[])
    promoted_from: Origin | None = None
    review: Review | None = None
    lambda_version: str | None = None
    code_sha256: str | None = None
    layers: list[str] = Field(default=[])
    runtime: str | None = None
    experiment: Experiment | None = None
    at: Instant

    def to_item(self) -> dict[str, Any]:
        """The version as an item of the registry table."""
        return {**self.model_dump(mode="json"), "pk": model_pk(self.model), "sk": version_sk(self.version)}


class Champion(_Entry):
    """One change of what serves: `version` (None: nothing) in place of `former`; `seq` counts a model's changes.

    A champion that was rolled out again followed itself. From then on it was carried as the fields of Carrier say; they
    are empty where nobody said so. `undoes` is the change that a person took back by this one.
    """

    model: str
    seq: int
    version: int | None = None
    former: int | None = None
    lambda_version: str | None = None
    code_sha256: str | None = None
    layers: list[str] = Field(default=[])
    runtime: str | None = None
    experiment: Experiment | None = None
    at: Instant
    why: str = ""
    undoes: int | None = None

    @property
    def newcomer(self) -> int | None:
        """The version that the change brought before callers: an experiment's challenger, else what serves."""
        return self.experiment.challenger if self.experiment else self.version

    @property
    def carried(self) -> dict[str, Any]:
        """What carried it (the fields of Carrier); nothing where nobody said so."""
        return self.model_dump(include=set(Carrier.model_fields)) if self.lambda_version else {}


def model_pk(model: str) -> str:
    """Partition key of everything about a model."""
    return f"MODEL#{model}"


def version_sk(version: int) -> str:
    """Sort key of a version; eight digits, so that text order is number order."""
    return f"VERSION#{version:08d}"


def version_prefix(model: str, version: int) -> str:
    """Where the directory of a version lies in the data bucket."""
    return f"models/{model}/{version:08d}/"
