"""Stage evaluate: the challenger against its floors and against the champion, on rows neither has seen."""

from __future__ import annotations

from aws_cdk import Duration
from constructs import Construct

from infra.constructs.grants import MODELS, get_items, read_objects, write_objects
from infra.constructs.shared import Shared
from infra.constructs.stage_function import StageFunction, variables
from infra.constructs.training_image import TrainingImage
from perennial.settings import EvaluateSettings

MEMORY_MIB = 3008
TIMEOUT = Duration.minutes(10)


class Evaluate(StageFunction):
    """The training image as a Lambda function; called by the workflow `lifecycle`."""

    def __init__(self, scope: Construct, shared: Shared, *, image: TrainingImage) -> None:
        super().__init__(
            scope,
            stage="evaluate",
            environment=shared.environment,
            variables=variables(EvaluateSettings, shared.values()),
            memory_mib=MEMORY_MIB,
            timeout=TIMEOUT,
            image=image.for_function("functions.evaluate.handler.lambda_handler"),
        )
        read_objects(self.role, shared.memory.data, "staging/", "models/")
        write_objects(self.role, shared.memory.data, "staging/*/evaluation.json")
        get_items(self.role, shared.memory.registry, MODELS)
        shared.share_ledger(self.role)
