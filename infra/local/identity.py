"""STS GetCallerIdentity for the keys that this cloud has issued (moto would answer with a user of its own)."""

from __future__ import annotations

import re
import uuid

from werkzeug import Request, Response

from infra.local.context import Cloud

KEY = re.compile(r"Credential=([^/,\s]+)/[^,]*/sts/aws4_request")

REPLY = """<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult>\
<Arn>{arn}</Arn><UserId>{key}</UserId><Account>{account}</Account></GetCallerIdentityResult>\
<ResponseMetadata><RequestId>{request}</RequestId></ResponseMetadata></GetCallerIdentityResponse>"""


class IdentityService:
    """Tells a caller who it is."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud

    def handle(self, request: Request) -> Response | None:
        """Answer GetCallerIdentity of a known key; everything else passes."""
        signed = KEY.search(request.headers.get("Authorization", ""))
        if not signed or b"Action=GetCallerIdentity" not in request.get_data():
            return None
        principal = self._cloud.credentials.find(signed[1])
        if principal is None:
            return None
        body = REPLY.format(arn=principal.arn, key=signed[1], account=self._cloud.account, request=uuid.uuid4())
        return Response(body, mimetype="text/xml")

    def stop(self) -> None:
        """Nothing to end."""
