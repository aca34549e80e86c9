"""Input and output of every stage, and the facts Perennial puts on its bus. State carries pointers only.

Those of stage feedback are in perennial/outcomes/events.py, those of stage retrain in perennial/retraining/events.py.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from perennial.registry.models import Experiment
from perennial.rollout.canary import Canary

SOURCE = "perennial"

DATASET_VERSION_ACCEPTED = "Dataset Version Accepted"
DATASET_BATCH_REFUSED = "Dataset Batch Refused"
MODEL_VERSION_REGISTERED = "Model Version Registered"
ROLLOUT_PROMOTED = "Rollout Promoted"
ROLLOUT_ROLLED_BACK = "Rollout Rolled Back"
RETRAIN_DECLINED = "Retrain Declined"
APPROVAL_REQUESTED = "Approval Requested"


class Message(BaseModel):
    """Base of stage inputs and outputs: unknown fields are ignored, since AWS adds fields to its events."""

    model_config = ConfigDict(frozen=True, populate_by_name=True, extra="ignore")


# ---- ingest


class S3Bucket(Message):
    """The bucket of an S3 event."""

    name: str


class S3Object(Message):
    """The object of an S3 event; EventBridge sends keys unencoded."""

    key: str
    size: int = 0
    etag: str
    version_id: str | None = Field(default=None, alias="version-id")
    sequencer: str | None = None


class S3Detail(Message):
    """`detail` of an S3 `Object Created` event."""

    bucket: S3Bucket
    object: S3Object


class IngestInput(Message):
    """One dropped object; `as_of` is the time of the event."""

    detail: S3Detail
    as_of: datetime


class IngestOutput(Message):
    """What became of a batch. `version` is None when it was refused; `rows` counts accepted rows."""

    status: Literal["accepted", "refused", "duplicate", "ignored"]
    dataset: str
    batch: str
    version: int | None = None
    rows: int = 0
    quarantined: int = 0
    report_key: str | None = None
    reason: str | None = None


# ---- facts on the bus


class DatasetVersionAccepted(Message):
    """A batch became a dataset version."""

    dataset: str
    version: int
    batch: str
    rows: int
    quarantined: int
    as_of: datetime


class DatasetBatchRefused(Message):
    """A batch went to quarantine whole."""

    dataset: str
    batch: str
    key: str
    reason: str
    report_key: str | None
    as_of: datetime


class ModelVersionRegistered(Message):
    """A run became a model version; `passed` says whether its gates let it deploy."""

    model: str
    version: int
    run: str
    passed: bool
    sha256: str
    as_of: datetime


class RolloutEnded(Message):
    """A rollout was promoted or rolled back; `former` served before.

    Of one that went by steps, `verdict` is the judge's last, and `spoiled_share` the share of all requests that the
    version failed.
    """

    model: str
    version: int
    former: int | None
    reason: str
    verdict: str | None = None
    spoiled_share: float | None = None
    as_of: datetime


class ApprovalRequested(Message):
    """A version waits for a person until `expires_at`; `authors` are the ARNs of who caused it, and may not approve."""

    model: str
    version: int
    authors: list[str]
    execution: str
    expires_at: datetime
    as_of: datetime


class RetrainDeclined(Message):
    """The governor was asked for a training and decided against it: `reason` says why, `not_before` when it might be
    otherwise. `trigger` and `key` say who asked.
    """

    model: str
    reason: str
    trigger: Literal["data", "schedule", "drift", "performance", "person"]
    key: str
    not_before: datetime | None = None
    as_of: datetime


# ---- train, evaluate, register


class RunInput(Message):
    """One training run of a model; its workspace is `staging/<run>/`."""

    model: str
    run: str
    as_of: datetime


class EvaluateOutput(Message):
    """Whether the challenger passed its gates; the evidence lies at `evaluation_key`."""

    model: str
    run: str
    passed: bool
    evaluation_key: str


class RegisterOutput(Message):
    """The registered version of a run; `passed` as evaluated."""

    model: str
    run: str
    version: int
    passed: bool
    sha256: str
    prefix: str


# ---- approve


class ApproveInput(Message):
    """What a workflow asks: for a person's approval, or how it stands now that the waiting is over.

    `execution` is its ARN, `token` the one that its task waits with (action `ask`).
    """

    action: Literal["ask", "expire"]
    model: str
    version: int
    execution: str
    token: str | None = None
    as_of: datetime


class ApproveOutput(Message):
    """Whether the version may be deployed; None while that is for a person to say."""

    model: str
    version: int
    approved: bool | None


# ---- deploy


class DeployInput(Message):
    """One step of a rollout. Known after publish are `lambda_version`, the `former` one as the way back, the alias's
    `revision` as this rollout last saw it, and the `canary`, unless all requests are shifted at once.

    Version `champion` is rolled out again when its function's configuration changed since; an experiment is a version
    with another one beside it. `execution` is the ARN of
    the rollout's own, so that rollouts of one model take turns; `moved` is when its last shift was done.
    """

    action: Literal["publish", "check", "smoke", "shift", "look", "verify", "restore", "prune"]
    model: str
    version: int | Literal["champion"] | Experiment
    as_of: datetime
    execution: str | None = None
    lambda_version: str | None = None
    former: str | None = None
    revision: str | None = None
    canary: Canary | None = None
    moved: datetime | None = None
    failure: dict[str, Any] | None = None


class DeployOutput(Message):
    """Where the rollout stands; passed on to the next step. `next` is that step, after `wait` seconds if it is a look.

    Without a `lambda_version` after publish there is nothing to do; `version` is None when nothing ever served.
    `deleted` are the Lambda versions that prune has deleted.
    """

    model: str
    version: int | Experiment | None
    lambda_version: str | None = None
    former: str | None = None
    revision: str | None = None
    canary: Canary | None = None
    next: Literal["look", "shift", "verify", "restore"] | None = None
    wait: int = 0
    deleted: list[str] = []
    error: str | None = None
    cause: str | None = None
