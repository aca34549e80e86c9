"""AWS::StepFunctions::StateMachine.

Source: https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-stepfunctions-statemachine.html
"""

from __future__ import annotations

import re
from typing import Any

from infra.local.resources.base import Handler, Made, Place, Properties, document, gone_is_fine


class StateMachine(Handler):
    """A state machine with an inline definition."""

    type = "AWS::StepFunctions::StateMachine"
    properties = frozenset(
        {
            "StateMachineName",
            "StateMachineType",
            "Definition",
            "DefinitionString",
            "DefinitionSubstitutions",
            "RoleArn",
            "LoggingConfiguration",
            "TracingConfiguration",
            "Tags",
        }
    )
    replaces = frozenset({"StateMachineName", "StateMachineType"})
    named_by = "StateMachineName"

    def create(self, place: Place, props: Properties) -> Made:
        """Create the state machine."""
        name = props.get("StateMachineName") or place.name(80)
        arn = place.call(
            "stepfunctions",
            "create_state_machine",
            name=name,
            type=props.get("StateMachineType"),
            tags=props.get("Tags"),
            **_arguments(props),
        )["stateMachineArn"]
        return Made(arn, {"Arn": arn, "Name": name})

    def update(self, place: Place, made: Made, props: Properties, old: Properties) -> Made:
        """Change definition, role, logging and tracing; running executions go on with what they started with."""
        place.call("stepfunctions", "update_state_machine", stateMachineArn=made.ref, **_arguments(props))
        place.retag("stepfunctions", made.ref, props, old)
        return made

    def delete(self, place: Place, made: Made, props: Properties) -> None:
        """Delete it."""
        gone_is_fine(place, "stepfunctions", "delete_state_machine", stateMachineArn=made.ref)


def _arguments(props: Properties) -> dict[str, Any]:
    definition = document(props.get("Definition", props.get("DefinitionString"))) or ""
    values = props.get("DefinitionSubstitutions", {})
    return {
        "definition": re.sub(r"\$\{(\w+)\}", lambda hole: str(values.get(hole[1], hole[0])), definition),
        "roleArn": props["RoleArn"],
        "loggingConfiguration": props.get("LoggingConfiguration"),
        "tracingConfiguration": props.get("TracingConfiguration"),
    }
