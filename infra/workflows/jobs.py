"""States of a workflow that wait for a job: a task on Fargate, an execution of another workflow."""

from __future__ import annotations

from aws_cdk import Duration
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_stepfunctions as sfn
from aws_cdk import aws_stepfunctions_tasks as tasks
from constructs import Construct

from infra.stages.train import CHUNK, REQUEST, Train
from infra.workflows.steps import Patience, path
from perennial.catalog.rollout import LONGEST
from perennial.errors import ECS_UNAVAILABLE, STATES_UNAVAILABLE, RolloutRunning

# Another rollout of the model takes a minute or two when it moves the alias at once, and up to a week by steps: waits
# of 5+10+…+2560 = 5115 seconds and then 169 of an hour, 613,515 seconds, which is two hours more than a week.
NOT_YET_ITS_TURN = Patience(errors=(RolloutRunning.__name__,), first=5, times=179, longest=3600, exact=True)

# A rollout waits for the one before it, and then takes as long as a spec may allow its steps; one that takes an hour
# more is stuck.
ROLLOUT = Duration.seconds(NOT_YET_ITS_TURN.seconds + LONGEST + 3600)

# ECS could not place the task (API errors; a task that ran and failed is not repeated): 10+20+40+80+160 = 310 seconds
# at most, which outlasts a shortage of Fargate capacity in one zone.
TASK_NOT_STARTED = Patience(
    errors=ECS_UNAVAILABLE,
    first=10,
    times=5,
    longest=160,
)

# The nested machine could not be started: 5+10+20 = 35 seconds at most.
EXECUTION_NOT_STARTED = Patience(
    errors=STATES_UNAVAILABLE,
    first=5,
    times=3,
    longest=20,
)


def run_training(scope: Construct, train: Train) -> tasks.EcsRunTask:
    """State Train: the task on Fargate, to its end."""
    return _run_task(scope, "Train", train, {REQUEST: path("look.request_key")})


def run_searches(scope: Construct, train: Train, most: int) -> sfn.Map:
    """State Tune: for each of `$.chunks` (at most `most`) a task of its own searches parameters, all side by side.

    What they find lies in the workspace of the run, where Train looks for it.
    """
    searches = sfn.Map(
        scope,
        "Tune",
        items_path="$.chunks",
        item_selector={"request_key": path("look.request_key"), "chunk": sfn.JsonPath.string_at("$$.Map.Item.Value")},
        max_concurrency=most,
        result_path=sfn.JsonPath.DISCARD,
    )
    variables = {REQUEST: path("request_key"), CHUNK: path("chunk")}
    searches.item_processor(_run_task(scope, "Search", train, variables))
    return searches


def _run_task(scope: Construct, state: str, train: Train, variables: dict[str, str]) -> tasks.EcsRunTask:
    given = [tasks.TaskEnvironmentVariable(name=name.upper(), value=value) for name, value in variables.items()]
    override = tasks.ContainerOverride(container_definition=train.container, environment=given)
    task = tasks.EcsRunTask(
        scope,
        state,
        integration_pattern=sfn.IntegrationPattern.RUN_JOB,
        cluster=train.cluster,
        task_definition=train.task,
        launch_target=tasks.EcsFargateLaunchTarget(platform_version=ecs.FargatePlatformVersion.VERSION1_4),
        assign_public_ip=True,
        security_groups=[train.network.outbound],
        container_overrides=[override],
        task_timeout=sfn.Timeout.duration(train.timeout),
        # a task is its log and its workspace in S3; its description is 10 KB of nothing
        result_path=sfn.JsonPath.DISCARD,
    )
    TASK_NOT_STARTED.apply(task)
    return task


def roll_out(scope: Construct, rollout: sfn.IStateMachine) -> tasks.StepFunctionsStartExecution:
    """State Deploy: an execution of the workflow rollout, to its end."""
    task = tasks.StepFunctionsStartExecution(
        scope,
        "Deploy",
        state_machine=rollout,
        integration_pattern=sfn.IntegrationPattern.RUN_JOB,
        input=sfn.TaskInput.from_object({"model": path("model"), "version": path("registered.version")}),
        task_timeout=sfn.Timeout.duration(ROLLOUT),
        result_path=sfn.JsonPath.DISCARD,
    )
    EXECUTION_NOT_STARTED.apply(task)
    return task
