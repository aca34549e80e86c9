"""What a caller is told when there is no answer."""

from __future__ import annotations

from perennial.errors import PerennialError, Refused


class RequestRefused(Refused):
    """The request is at fault; `status` is the HTTP status that says how (4xx)."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


class ModelFault(PerennialError):
    """The graph failed, or answered with something that is no finite number: the model is at fault, not the caller."""
