"""DescribeExecution and StopExecution as AWS answers them: output always as JSON text, times of every ending, causes.

Source: https://docs.aws.amazon.com/step-functions/latest/apireference/API_DescribeExecution.html
"""

from __future__ import annotations

import json
from typing import Any

from moto.core.responses import ActionResult
from moto.stepfunctions.parser.api import ExecutionStatus
from moto.stepfunctions.responses import StepFunctionResponse

from infra.local.clock import Clock
from infra.local.patches import Patches


def apply(patches: Patches, clock: Clock) -> None:
    """Replace moto's replies."""

    def stop(self: StepFunctionResponse) -> ActionResult:
        execution: Any = self.stepfunction_backend.describe_execution(self._get_param("executionArn"))
        execution.stop(clock.now(), self._get_param("error"), self._get_param("cause"))
        return ActionResult({"stopDate": execution.stop_date})

    patches.replace(StepFunctionResponse, "describe_execution", _describe)
    patches.replace(StepFunctionResponse, "stop_execution", stop)


def _describe(self: StepFunctionResponse) -> ActionResult:
    execution: Any = self.stepfunction_backend.describe_execution(self._get_param("executionArn"))
    reply = {
        "executionArn": execution.execution_arn,
        "stateMachineArn": execution.state_machine_arn,
        "name": execution.name,
        "status": execution.status,
        "startDate": execution.start_date,
        "stopDate": execution.stop_date,
        "input": execution.execution_input,
        "inputDetails": {"included": True},
        "error": execution.error,
        "cause": execution.cause,
    }
    if execution.status == ExecutionStatus.SUCCEEDED.value:
        reply["output"] = json.dumps(execution.output, separators=(",", ":"))
        reply["outputDetails"] = {"included": True}
    return ActionResult({name: value for name, value in reply.items() if value is not None})
