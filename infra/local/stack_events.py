"""What CloudFormation tells the default bus about a stack as it goes from one status to the next.

Source: https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/event-detail-stack-status-change.html and, for
the order of the statuses, …/UserGuide/view-stack-events.html#cfn-console-view-stack-data-resources-status-codes
"""

from __future__ import annotations

import uuid

from infra.local.context import Cloud

SOURCE = "aws.cloudformation"
DETAIL_TYPE = "CloudFormation Stack Status Change"


class StackEvents:
    """The events of one operation on a stack: its creation, or an update. All carry the same token."""

    def __init__(self, cloud: Cloud, stack_id: str, *, creation: bool) -> None:
        self._cloud = cloud
        self._stack_id = stack_id
        self._creation = creation
        self._token = str(uuid.uuid4())

    def begun(self) -> None:
        """The template was accepted."""
        self._tell("CREATE_IN_PROGRESS" if self._creation else "UPDATE_IN_PROGRESS", "User Initiated")

    def cleaning_up(self) -> None:
        """Everything new is there; an update still has to delete what it replaced."""
        if not self._creation:
            self._tell("UPDATE_COMPLETE_CLEANUP_IN_PROGRESS")

    def complete(self) -> None:
        """The stack is as its template says."""
        self._tell("CREATE_COMPLETE" if self._creation else "UPDATE_COMPLETE")

    def rolling_back(self, reason: str) -> None:
        """A resource failed."""
        self._tell("ROLLBACK_IN_PROGRESS" if self._creation else "UPDATE_ROLLBACK_IN_PROGRESS", reason)

    def rolled_back(self) -> None:
        """The stack is as it was before."""
        if not self._creation:
            self._tell("UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS")
        self._tell("ROLLBACK_COMPLETE" if self._creation else "UPDATE_ROLLBACK_COMPLETE")

    def _tell(self, status: str, reason: str = "") -> None:
        detail = {
            "stack-id": self._stack_id,
            "status-details": {"status": status, "status-reason": reason},
            "client-request-token": self._token,
        }
        event = {"detail-type": DETAIL_TYPE, "resources": [self._stack_id], "detail": detail}
        self._cloud.service_event(SOURCE, event)
