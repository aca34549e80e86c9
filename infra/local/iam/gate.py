"""The gate before every AWS API: who signs, what the call needs, whether it is allowed.

Signatures of AWS APIs are not verified (the HTTP API's are): the access key says who calls, and keys are random.
"""

from __future__ import annotations

import logging
import re

from botocore.model import ServiceModel
from werkzeug import Request, Response

from infra.local.context import Cloud, Principal
from infra.local.iam import calls
from infra.local.iam.calls import ApiCall, NotImitated
from infra.local.iam.need import Need, Place
from infra.local.iam.needs import needs
from infra.local.iam.refusals import refusal

log = logging.getLogger(__name__)

HEADER = re.compile(r"Credential=([^/,\s]+)/\d{8}/[^/]*/([^/]+)/aws4_request")
QUERY = re.compile(r"^([^/]+)/\d{8}/[^/]*/([^/]+)/aws4_request$")
# an administrator is only refused by what resources deny, and of these only some services' do
DENYING = frozenset({"s3", "sns", "sqs"})
_READS = ("Action=Get", "Action=List", "Action=Simulate")
_READ_OBJECT = frozenset({"GetObject", "HeadObject", "CopyObject", "UploadPartCopy"})


def signer(request: Request) -> tuple[str, str]:
    """Access key and service of a request's credential scope; an unsigned one is nobody's, of S3.

    Addresses that S3 clients presign may still be of Signature Version 2, with the access key alone.
    """
    found = HEADER.search(request.headers.get("Authorization", ""))
    found = found or QUERY.match(request.args.get("X-Amz-Credential", ""))
    return (found[1], found[2].lower()) if found else (request.args.get("AWSAccessKeyId", ""), "s3")


class Gate:
    """Lets calls through, or answers them with the service's own refusal."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._authority = cloud.authority
        self._place = Place(cloud.region, cloud.account)

    def refused(self, request: Request) -> Response | None:
        """The answer to a call that is not allowed; None for one that is."""
        access_key, service = signer(request)
        principal = self._cloud.find_principal(access_key)
        if principal is not None and principal.administrator and service not in DENYING:
            return None
        try:
            if principal is None:
                return refusal(request, calls.model(service), "The security token included in the request is invalid")
            call = calls.read(request, service)
            message = self._missing(principal, call)
        except NotImitated as error:
            if principal is not None and principal.administrator:
                return None
            log.warning("%s refused: the local cloud does not know it: %s", request.path, error)
            message = f"the local cloud cannot judge this call: {error}"
            return refusal(request, _model(service), message)
        return refusal(request, calls.model(service), message) if message else None

    def _missing(self, principal: Principal, call: ApiCall) -> str | None:
        """What AWS says when a need is not met."""
        for need in needs(call, self._place):
            verdict = self._authority.may(principal, need)
            if not verdict.allowed:
                return denial(principal, need, verdict.reason, quoted=call.service == "s3")
        return None

    def answered(self, request: Request, status: int) -> Response | None:
        """What to answer instead of what the service answered: a missing object is only told to who may list.

        Source: https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html (403 and 404)
        """
        access_key, service = signer(request)
        if service == "iam" and not request.get_data(as_text=True).startswith(_READS):
            self._authority.forget()
        if service != "s3" or status != 404:
            return None
        principal = self._cloud.find_principal(access_key)
        if principal is None or principal.administrator:
            return None
        call = calls.read(request, service)
        if call.operation not in _READ_OBJECT:
            return None
        bucket = call.headers.get("x-amz-copy-source", call.parameters["Bucket"]).lstrip("/").partition("/")[0]
        need = Need("s3:ListBucket", f"arn:aws:s3:::{bucket}")
        verdict = self._authority.may(principal, need)
        if verdict.allowed:
            return None
        message = denial(principal, need, verdict.reason, quoted=True)
        return refusal(request, calls.model(service), message)


def denial(principal: Principal, need: Need, reason: str, *, quoted: bool = False) -> str:
    """AWS's sentence; S3 puts the resource in quotes."""
    resource = f'"{need.resource}"' if quoted else need.resource
    return f"User: {principal.arn} is not authorized to perform: {need.action} on resource: {resource} {reason}"


def _model(service: str) -> ServiceModel:
    """The model in whose protocol to refuse; a service that nobody knows is refused in JSON."""
    try:
        return calls.model(service)
    except NotImitated:
        return calls.model("dynamodb")
