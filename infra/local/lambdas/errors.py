"""Errors of the Lambda API, with the status, code and wording that an SDK sees.

Source: https://docs.aws.amazon.com/lambda/latest/api/CommonErrors.html and the error lists of each operation.
"""

from __future__ import annotations

import json
import uuid

from werkzeug import Response


class ApiError(Exception):
    """An error reply of the Lambda API."""

    status = 400
    code = "InvalidParameterValueException"
    kind = "User"

    def __init__(self, message: str, **members: str) -> None:
        super().__init__(message)
        self.message = message
        self.members = members

    def response(self) -> Response:
        """The reply as rest-json: the code in a header, the message in the body."""
        body = {"Type": self.kind, "message": self.message, "Message": self.message, **self.members}
        reply = Response(json.dumps(body), self.status, mimetype="application/json")
        reply.headers["x-amzn-ErrorType"] = self.code
        reply.headers["x-amzn-RequestId"] = str(uuid.uuid4())
        return reply


class InvalidParameter(ApiError):
    """One of the parameters in the request is not valid."""


class InvalidRequestContent(ApiError):
    """The request body could not be parsed as JSON."""

    code = "InvalidRequestContentException"


class ValidationError(ApiError):
    """A member breaks a constraint of the API's model."""

    code = "ValidationException"


class NotFound(ApiError):
    """The resource specified in the request does not exist."""

    status = 404
    code = "ResourceNotFoundException"


class Conflict(ApiError):
    """The resource already exists, or another operation is in progress."""

    status = 409
    code = "ResourceConflictException"


class StillPending(Conflict):
    """The function or version has not become active yet."""

    def __init__(self) -> None:
        super().__init__(
            "The operation cannot be performed at this time. The function is currently in the following state: Pending"
        )


class PreconditionFailed(ApiError):
    """The RevisionId does not match the latest one."""

    status = 412
    code = "PreconditionFailedException"


class RequestTooLarge(ApiError):
    """The request payload exceeded the Invoke request body limit."""

    status = 413
    code = "RequestTooLargeException"


class Throttled(ApiError):
    """The request throughput limit was exceeded."""

    status = 429
    code = "TooManyRequestsException"

    def __init__(self, reason: str) -> None:
        super().__init__("Rate Exceeded.", Reason=reason)


class CodeStorageExceeded(ApiError):
    """The package is larger than an account may store."""

    code = "CodeStorageExceededException"


class NotImitated(ApiError):
    """The local cloud does not imitate this; refusing is better than pretending."""

    status = 501
    code = "NotImplemented"
    kind = "Service"
