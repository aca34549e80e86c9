"""Where a workflow goes on when a state fails: by named reason first, then whatever it is."""

from __future__ import annotations

from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from infra.workflows.steps import path
from perennial.errors import PerennialError

# What no wildcard takes; States.Runtime cannot be caught at all. States.ALL must stand alone, as the last catcher.
# https://docs.aws.amazon.com/step-functions/latest/dg/concepts-error-handling.html
ANYTHING = (["States.DataLimitExceeded"], [sfn.Errors.ALL])


def catch(
    state: sfn.TaskStateBase | sfn.Map,
    handler: sfn.IChainable,
    *reasons: type[PerennialError],
    at: str = "$.failure",
) -> None:
    """Failures of `state` with one of `reasons` go on at `handler` (without reasons: whatever the failure is), which
    finds them at `at`.
    """
    for group in [[reason.__name__ for reason in reasons]] if reasons else ANYTHING:
        state.add_catch(handler, errors=group, result_path=at)


def unexplained(scope: Construct) -> sfn.Fail:
    """State Unexplained: the execution fails with what was caught as its cause, since its error may be one of the
    reserved names, which no execution can fail with.
    """
    caught = [sfn.JsonPath.string_at("$.failure.Error"), sfn.JsonPath.string_at("$.failure.Cause")]
    return sfn.Fail(scope, "Unexplained", error="Unexplained", cause_path=sfn.JsonPath.format("{}: {}", *caught))


def refused(scope: Construct, state: str) -> sfn.Chain:
    """The execution fails with a stage's own words. Only for named reasons: Lambda tells those as JSON, with a sentence
    as `errorMessage`.
    """
    said = sfn.JsonPath.string_to_json(sfn.JsonPath.string_at("$.failure.Cause"))
    read = sfn.Pass(scope, f"{state}Why", parameters={"error": path("failure.Error"), "said": said})
    fail = sfn.Fail(scope, state, error_path="$.error", cause_path="$.said.errorMessage")
    return sfn.Chain.start(read).next(fail)
