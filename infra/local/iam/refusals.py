"""The answer to a call that is refused, as the service says it.

Sources: https://docs.aws.amazon.com/AmazonS3/latest/userguide/troubleshoot-403-errors.html and
https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_access-denied.html
"""

from __future__ import annotations

import json
import uuid
from xml.sax.saxutils import escape

from botocore.model import ServiceModel
from werkzeug import Request, Response

_QUERY = (
    "<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error>"
    "<RequestId>{request}</RequestId></ErrorResponse>"
)
_EC2 = (
    "<Response><Errors><Error><Code>UnauthorizedOperation</Code><Message>{message}</Message></Error></Errors>"
    "<RequestID>{request}</RequestID></Response>"
)
_S3 = (
    '<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code><Message>{message}</Message>'
    "<RequestId>{request}</RequestId><HostId>local</HostId></Error>"
)
_XML = {"query": _QUERY, "ec2": _EC2, "rest-xml": _S3}


def refusal(asked: Request, model: ServiceModel, message: str) -> Response:
    """The error AccessDenied in the protocol in which the service was asked."""
    request, head = str(uuid.uuid4()), asked.method == "HEAD"
    protocol = _protocol(asked, model)
    if protocol in _XML:
        body = _XML[protocol].format(code="AccessDenied", message=escape(message), request=request)
        headers = {"x-amz-request-id": request}
        return Response(b"" if head else body, 403, headers, content_type="application/xml")
    headers = {"x-amzn-RequestId": request}
    if protocol == "rest-json":
        headers["x-amzn-ErrorType"] = "AccessDeniedException"
        return Response(json.dumps({"Message": message}), 403, headers, content_type="application/json")
    if protocol == "smithy-rpc-v2-cbor":
        headers["smithy-protocol"] = "rpc-v2-cbor"
        body_ = b"\xa2" + b"".join(map(_cbor, ("__type", "AccessDenied", "message", message)))
        return Response(body_, 403, headers, content_type="application/cbor")
    text = json.dumps({"__type": "AccessDeniedException", "Message": message, "message": message})
    version = model.metadata.get("jsonVersion", "1.1")
    return Response(text, 400, headers, content_type=f"application/x-amz-json-{version}")


def _protocol(asked: Request, model: ServiceModel) -> str:
    """Services that speak several protocols answer in the one they are spoken to."""
    if asked.headers.get("smithy-protocol") == "rpc-v2-cbor":
        return "smithy-rpc-v2-cbor"
    if "X-Amz-Target" in asked.headers:
        return "json"
    protocol = str(model.metadata["protocol"])
    return "query" if protocol == "smithy-rpc-v2-cbor" else protocol


def _cbor(text: str) -> bytes:
    """A text string in CBOR (RFC 8949, major type 3), its length in four bytes."""
    encoded = text.encode()
    return b"\x7a" + len(encoded).to_bytes(4, "big") + encoded
