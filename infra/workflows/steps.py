"""How a workflow calls a stage: payload in, named errors out, waits that add up to something."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aws_cdk import Duration
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_stepfunctions as sfn
from aws_cdk import aws_stepfunctions_tasks as tasks
from constructs import Construct

from perennial import errors

# The state's own time: the same on every retry, so that a repeated call decides as the first one did.
NOW = sfn.JsonPath.string_at("$$.State.EnteredTime")


# What a stage says of a failure, for the execution to fail with.
REASON = ("error", "cause")

# For the call to reach the function and its answer to come back.
MARGIN = Duration.seconds(30)


@dataclass(frozen=True)
class Patience:
    """A retry policy: waits of `first`, `first × 2`, `first × 4` … up to `longest` seconds, `times` times.

    Each wait is shortened at random, so that those who wait for the same thing come one by one, unless it is `exact`.
    """

    errors: tuple[str, ...]
    first: int
    times: int
    longest: int
    exact: bool = False

    @property
    def seconds(self) -> int:
        """All waits together, when none is shortened."""
        return sum(min(self.first * 2**time, self.longest) for time in range(self.times))

    def apply(self, state: sfn.TaskStateBase) -> None:
        """Add this policy to a task."""
        state.add_retry(
            errors=list(self.errors),
            interval=Duration.seconds(self.first),
            backoff_rate=2,
            max_attempts=self.times,
            max_delay=Duration.seconds(self.longest),
            jitter_strategy=sfn.JitterType.NONE if self.exact else sfn.JitterType.FULL,
        )


# Lambda itself failed or throttled, the stage did not run or its answer was lost: 2+4+8+16+32+60 = 122 seconds at most,
# which outlasts a burst above the account's concurrency and the replacement of a worker.
LAMBDA_UNAVAILABLE = Patience(
    errors=errors.LAMBDA_UNAVAILABLE,
    first=2,
    times=6,
    longest=60,
)

# The function was asleep after weeks without a call, and this call woke it: 10+20+40+80 = 150 seconds, all of them,
# since Lambda has been seen to take 106.
# https://github.com/aws-solutions-library-samples/accelerated-intelligent-document-processing-on-aws/issues/801
FUNCTION_ASLEEP = Patience(errors=errors.FUNCTION_ASLEEP, first=10, times=4, longest=80, exact=True)

# The process ended before it answered, perhaps between two writes: 5 seconds, then once more, since the same call
# finishes what was begun. Not more often: what is too large or too slow is so every time.
# https://docs.aws.amazon.com/step-functions/latest/dg/bp-lambda-serviceexception.html
PROCESS_DIED = Patience(errors=errors.PROCESS_DIED, first=5, times=1, longest=5)

# S3, DynamoDB or EventBridge refused four times within the stage already: 5+10+20+40+80 = 155 seconds at most, which
# outlasts the splitting of a hot partition; a longer outage is for a person.
STORAGE_UNAVAILABLE = Patience(errors=(errors.StorageUnavailable.__name__,), first=5, times=5, longest=80)

# What every call of a stage is worth.
CALLING = (LAMBDA_UNAVAILABLE, FUNCTION_ASLEEP, PROCESS_DIED, STORAGE_UNAVAILABLE)


def call(
    scope: Construct,
    state: str,
    function: lambda_.IFunction,
    payload: Mapping[str, Any],
    *,
    timeout: Duration,
    keep: Sequence[str] | None = None,
    at: str | None = None,
) -> tasks.LambdaInvoke:
    """State `state`: call `function` with `payload`.

    The fields `keep` of the answer go to `at` (sfn.JsonPath.DISCARD drops it); without both, the answer becomes the
    whole state. `timeout` is the function's own.
    """
    task = tasks.LambdaInvoke(
        scope,
        state,
        lambda_function=function,
        payload=sfn.TaskInput.from_object(dict(payload)),
        result_selector={name: path(f"Payload.{name}") for name in keep} if keep else None,
        result_path=at,
        output_path="$.Payload" if at is None else None,
        # ours are below, with their totals argued
        retry_on_service_exceptions=False,
        # longer than the function's, so that it is Lambda that says what happened
        task_timeout=sfn.Timeout.duration(timeout.plus(MARGIN)),
    )
    for patience in CALLING:
        patience.apply(task)
    return task


def path(name: str) -> str:
    """The field `name` of the state's input (or of an answer), whatever its type."""
    return str(sfn.JsonPath.string_at(f"$.{name}"))
