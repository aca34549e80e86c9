"""Named reasons. Step Functions retries and catches by these class names; message text is never matched."""

from __future__ import annotations

from typing import Literal

Fault = Literal["input", "surroundings", "defect"]


class PerennialError(Exception):
    """Base of every named reason; its message is written for the person who has to act on it."""


class Refused(PerennialError):
    """The input is at fault: a retry cannot help."""


class Retriable(PerennialError):
    """The surroundings are at fault: the same call may succeed later."""


# Storage (raised by perennial.storage only)
class StorageUnavailable(Retriable):
    """S3, DynamoDB or EventBridge throttled, timed out or answered 5xx."""


class ObjectMissing(Refused):
    """An S3 object that was named does not exist."""


class ConditionFailed(PerennialError):
    """A conditional write lost: someone else wrote first. Callers resolve it; it never leaves a stage."""


class AccessRefused(Refused):
    """The role of this stage lacks a permission: the template is wrong, not the data."""


# Catalog
class CatalogInvalid(Refused):
    """A contract or model spec of the catalog does not follow its schema."""


class DatasetUnknown(Refused):
    """No contract of that name is in the catalog."""


class ModelUnknown(Refused):
    """No model of that name is in the catalog."""


class ProposalRefused(Refused):
    """No catalog can be proposed from a data file; the message names file, column and rule."""


# Ingest
class FileRefused(Refused):
    """A dropped file cannot be read as what it claims to be, or breaks a rule that holds for the whole file."""


class StagingLost(Refused):
    """The staged files of a committed version are gone, and the dropped file cannot make them again."""


# Training
class TrainingDataInvalid(Refused):
    """The named dataset versions cannot train this model: too few rows, one class, a column missing."""


class ParityFailed(Refused):
    """The converted graph does not predict what the fitted pipeline predicts."""


class EstimatorUnknown(Refused):
    """The model spec names an algorithm that Perennial does not have."""


# Retraining
class FlightUnknown(Refused):
    """The training of this name is not the one that the governor started for this model."""


# Monitoring
class GridsDiffer(Refused):
    """Two profiles were counted on different grids, or rows lack a column of the grid: they cannot be put together."""


# Registry and deployment
class VersionUnknown(Refused):
    """No such version of this model is in the registry."""


class VersionRefused(Refused):
    """This model version failed its gates: it is kept for the record, and never deployed."""


class BundleInvalid(Refused):
    """A model bundle does not match its manifest, or holds what it may not hold."""


class RolloutRunning(Retriable):
    """Another rollout of this model is running: they take turns."""


class ExperimentInvalid(Refused):
    """These two versions cannot be compared on live traffic as was asked; nothing was changed."""


class RolloutStopped(Refused):
    """A person took this rollout back; the champion goes on serving."""


class ChallengerRefused(Refused):
    """The judge of a rollout found that the challenger does harm: the champion goes on serving."""


class RolloutInconclusive(Refused):
    """Traffic did not show in time whether the challenger does harm, and its spec then leaves the champion in place."""


class VersionsKept(PerennialError):
    """Old Lambda versions could not be deleted; the next rollout tries again."""


class PublishPending(Retriable):
    """Lambda is still preparing the published version."""


class PublishFailed(Refused):
    """Lambda could not prepare the published version."""


class SmokeFailed(Refused):
    """The published version does not answer the golden rows as it did in training."""


class AliasMoved(Refused):
    """Someone else moved the alias during this rollout: whose version is to serve is for a person to say."""


class NothingServes(Refused):
    """The model has no champion yet, so there is no version that a file could be scored with."""


class WindowInvalid(Refused):
    """The days that were to be looked at cannot be a window."""


class PlanLost(Refused):
    """What a batch was planned to score is no longer in staging, where it is kept for some days."""


class ScoringFailed(Refused):
    """The version that was chosen cannot score rows that were checked for it: the model is at fault, not the file."""


class AuthorUnknown(Refused):
    """Nobody can say who caused this model version, so nobody can say who may approve it."""


class ApprovalWaits(Refused):
    """Another execution waits for the approval of this model version: what is decided reaches that one."""


class LedgerBroken(PerennialError):
    """A ledger record does not carry the hash of the one before it."""


# What Step Functions calls the troubles of the services that it calls: nothing ran, or its answer was lost.
LAMBDA_UNAVAILABLE = (
    "Lambda.ServiceException",
    "Lambda.AWSLambdaException",
    "Lambda.SdkClientException",
    "Lambda.ClientExecutionTimeoutException",
    "Lambda.TooManyRequestsException",
)
# What it calls a function that Lambda put to sleep after weeks without a call: the call wakes it, and is refused until
# it is ready (its image, whatever else, its VPC connection).
# https://docs.aws.amazon.com/lambda/latest/dg/functions-states.html
FUNCTION_ASLEEP = (
    "Lambda.CodeArtifactUserPendingException",
    "Lambda.ResourceConflictException",
    "Lambda.ResourceNotReadyException",
)
# What Step Functions calls a function whose process ended before it answered.
PROCESS_DIED = ("Lambda.Unknown", "Sandbox.Timedout", "Runtime.ExitError", "Runtime.OutOfMemory")
# What it calls a task that ECS did not take; the last is what it makes of `failures` in RunTask's answer: no capacity.
# https://docs.aws.amazon.com/step-functions/latest/dg/connect-ecs.html
ECS_UNAVAILABLE = (
    "ECS.AmazonECSException",
    "ECS.ServerException",
    "ECS.ClusterNotFoundException",
    "AmazonECS.Unknown",
)
# Stop codes of a task that ECS could not start (no capacity, no image), or took away for its own reasons.
# https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_Task.html
TASK_TAKEN_AWAY = ("TaskFailedToStart", "SpotInterruption", "TerminationNotice", "InfrastructureHealth")
STATES_UNAVAILABLE = ("StepFunctions.ServiceException", "StepFunctions.ExecutionLimitExceededException")


def fault_of(error: str) -> Fault:
    """Whose fault the named error is: of the input (data, catalog, request), of the surroundings, or a defect."""
    reason = globals().get(error)
    if error in (*LAMBDA_UNAVAILABLE, *FUNCTION_ASLEEP, *ECS_UNAVAILABLE, *TASK_TAKEN_AWAY, *STATES_UNAVAILABLE):
        return "surroundings"
    if not isinstance(reason, type):
        return "defect"
    if issubclass(reason, Retriable):
        return "surroundings"
    return "input" if issubclass(reason, Refused) else "defect"
