"""STS of the local cloud: who a key belongs to, and sessions of roles for those whom their trust policies let in.

moto would answer both with principals of its own.
Source: https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html
"""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
import uuid
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qsl
from xml.sax.saxutils import escape

from moto.iam.models import User
from werkzeug import Request, Response

from infra.local.context import Cloud, Principal
from infra.local.iam import principals
from infra.local.iam.calls import model
from infra.local.iam.gate import denial, signer
from infra.local.iam.need import Need
from infra.local.iam.refusals import refusal
from infra.local.patches import Patches

SESSION_NAME = re.compile(r"[\w+=,.@-]{2,64}", re.ASCII)
DURATION = 3600  # seconds

REPLY = """<{action}Response xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><{action}Result>{result}</{action}Result>\
<ResponseMetadata><RequestId>{request}</RequestId></ResponseMetadata></{action}Response>"""


class IdentityService:
    """Answers GetCallerIdentity and AssumeRole."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._patches = Patches()
        self._patches.replace(User, "__init__", _with_unique_id(User.__init__))

    def handle(self, request: Request) -> Response | None:
        """Answer what is signed for STS with a known key; everything else passes."""
        access_key, service = signer(request)
        principal = self._cloud.find_principal(access_key) if service == "sts" else None
        if principal is None:
            return None
        form = dict(parse_qsl(request.get_data(as_text=True) or request.query_string.decode()))
        if form.get("Action") == "GetCallerIdentity":
            user = user_id(self._cloud, principal)
            result = {"Arn": principal.arn, "UserId": user, "Account": self._cloud.account}
            return _reply("GetCallerIdentity", _xml(result))
        return self._assume(request, principal, form) if form.get("Action") == "AssumeRole" else None

    def stop(self) -> None:
        """Put moto's own ids back."""
        self._patches.undo()

    def _assume(self, request: Request, caller: Principal, form: Mapping[str, str]) -> Response:
        role, name = form.get("RoleArn", ""), form.get("RoleSessionName", "")
        if not SESSION_NAME.fullmatch(name):
            return _invalid("1 validation error detected: Value at 'roleSessionName' failed to satisfy constraint")
        if len(form.keys() - {"Action", "Version", "RoleArn", "RoleSessionName", "DurationSeconds"}):
            return _invalid("session policies, tags and external ids are not imitated by the local cloud")
        if not self._cloud.authority.trusts_caller(role, caller):
            need = Need("sts:AssumeRole", role)
            return refusal(request, model("sts"), denial(caller, need, "").rstrip())
        session = self._cloud.credentials.issue(principals.session_arn(role, name))
        ends = self._cloud.clock.now() + timedelta(seconds=DURATION)
        keys = {
            "AccessKeyId": session.access_key,
            "SecretAccessKey": session.secret_key,
            "SessionToken": secrets.token_urlsafe(48),
            "Expiration": ends.strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
        who = {"Arn": session.arn, "AssumedRoleId": user_id(self._cloud, session)}
        body = f"<Credentials>{_xml(keys)}</Credentials><AssumedRoleUser>{_xml(who)}</AssumedRoleUser>"
        return _reply("AssumeRole", body)


def user_id(cloud: Cloud, principal: Principal) -> str:
    """The id that IAM gives a principal and never again: of a session, its role's and the session's name.

    Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html#identifiers-unique-ids
    """
    identity = cloud.authority.identity(principal.arn)
    # the developer has a key, but is no user that IAM here could delete
    unique = identity.unique if identity else _of_user(principal.arn.encode())
    return f"{unique}:{principal.arn.rpartition('/')[2]}" if ":assumed-role/" in principal.arn else unique


def _of_user(seed: bytes) -> str:
    """An id of the form that IAM gives a user."""
    return "AIDA" + base64.b32encode(hashlib.sha256(seed).digest()).decode()[:17]


def _with_unique_id(original: Callable[..., None]) -> Callable[..., None]:
    """moto gives users an id of another form than roles; one made anew has another than the one before."""

    def made(user: User, *args: Any, **kwargs: Any) -> None:
        original(user, *args, **kwargs)
        user.id = _of_user(secrets.token_bytes(32))

    return made


def _xml(values: Mapping[str, str]) -> str:
    return "".join(f"<{name}>{escape(value)}</{name}>" for name, value in values.items())


def _reply(action: str, result: str) -> Response:
    return Response(REPLY.format(action=action, result=result, request=uuid.uuid4()), mimetype="text/xml")


def _invalid(message: str) -> Response:
    body = f"<ErrorResponse><Error><Type>Sender</Type><Code>ValidationError</Code><Message>{message}</Message></Error>"
    return Response(f"{body}</ErrorResponse>", 400, mimetype="text/xml")
