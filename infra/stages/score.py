"""Stage score: a file of rows, scored by the champion of the moment, each row once."""

from __future__ import annotations

from aws_cdk import Duration
from constructs import Construct

from infra.constructs.grants import (
    MODELS,
    copy_tags,
    delete_objects,
    get_items,
    read_objects,
    read_versions,
    write_objects,
)
from infra.constructs.shared import Shared
from infra.constructs.stage_function import StageFunction, variables
from infra.constructs.training_image import TrainingImage
from perennial.scoring.batch import STAGING
from perennial.settings import ScoreSettings

OUTPUT, QUARANTINE = "score/*/out/", "quarantine/_score/"

# Readers are bounded as in ingestion, a range by RANGE_BYTES; the graph runs on one thread, which needs one vCPU
# (1,769 MiB).
MEMORY_MIB = 2048
# The file (1 GiB at most) and its rows as they are staged.
TEMPORARY_MIB = 6144
# Lambda's longest, for a file of the largest size to be read.
TIMEOUT = Duration.minutes(15)


class Score(StageFunction):
    """Called by the workflow `score`. The training image as a Lambda function: pyarrow and onnxruntime, each with what
    it needs, unzip to more than the 250 MB of a function with layers.
    """

    def __init__(self, scope: Construct, shared: Shared, *, image: TrainingImage) -> None:
        super().__init__(
            scope,
            stage="score",
            environment=shared.environment,
            variables=variables(ScoreSettings, shared.values()),
            memory_mib=MEMORY_MIB,
            temporary_mib=TEMPORARY_MIB,
            timeout=TIMEOUT,
            image=image.for_function("functions.score.handler.lambda_handler"),
        )
        memory = shared.memory
        read_objects(self.role, memory.data, "score/", STAGING, "models/")
        write_objects(self.role, memory.data, OUTPUT, STAGING, QUARANTINE)
        read_versions(self.role, memory.data, "score/")
        copy_tags(self.role, memory.data, source="score/", target=QUARANTINE)
        delete_objects(self.role, memory.data, STAGING, OUTPUT)
        get_items(self.role, memory.registry, MODELS)
        shared.share_ledger(self.role)
        memory.bus.grant_put_events_to(self.role)
