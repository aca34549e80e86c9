"""Verification of AWS Signature Version 4, as API Gateway does it for IAM-authorised routes (service `execute-api`).

Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html

- The date of the signature is compared with the *real* clock (± 5 minutes): clients sign with the clock of their own
  machine and cannot know that the cloud's has been driven forward.
- The body's digest is always computed from the body. A client that sends `X-Amz-Content-SHA256` must send that digest;
  `UNSIGNED-PAYLOAD` is S3's alone and is refused here.
- Where clients differ in how they write the same path or query (duplicate slashes, dot segments, lower-case escapes)
  each of the ways is tried; all of them cover the same bytes.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from urllib.parse import quote, unquote_to_bytes

from infra.local.context import Principal

ALGORITHM = "AWS4-HMAC-SHA256"
TOLERANCE = timedelta(minutes=5)
LONGEST_PRESIGNED = 7 * 24 * 3600  # seconds
_CREDENTIAL = re.compile(r"^([^/]+)/(\d{8})/([^/]+)/([^/]+)/aws4_request$")
_UNRESERVED = "-_.~"


class Refused(Exception):
    """The request is not signed, or not by who it says, or not for here and now."""


@dataclass(frozen=True)
class HttpRequest:
    """A request as it came over the wire: `target` is path?query undecoded, header values are latin-1 text."""

    method: str
    target: str
    headers: Sequence[tuple[str, str]]
    body: bytes = b""

    def values(self, name: str) -> list[str]:
        """All values of the header `name` (lower case), in order."""
        return [value for key, value in self.headers if key.lower() == name]


@dataclass(frozen=True)
class _Claim:
    access_key: str
    day: str
    region: str
    service: str
    signed: tuple[str, ...]
    signature: str
    timestamp: str
    query: str  # without the signature itself


def verify(
    request: HttpRequest,
    find: Callable[[str], Principal | None],
    *,
    region: str,
    service: str = "execute-api",
    now: datetime | None = None,
) -> Principal:
    """Who signed the request; raises Refused. `now` (UTC) is for tests."""
    path, _, query = request.target.partition("?")
    now = now or datetime.now(UTC)
    claim = _from_query(query, now) if "X-Amz-Signature=" in query else _from_header(request, query, now)
    principal = find(claim.access_key)
    if principal is None:
        raise Refused("the access key is not known")
    if (claim.region, claim.service) != (region, service):
        raise Refused(f"signed for {claim.service} in {claim.region}")
    digest = hashlib.sha256(request.body).hexdigest()
    if any(value != digest for value in request.values("x-amz-content-sha256")):
        raise Refused("X-Amz-Content-SHA256 is not the digest of the body")
    scope = f"{claim.day}/{region}/{service}/aws4_request"
    key = _signing_key(principal.secret_key, claim.day, region, service)
    for canonical in _canonical_requests(request, path, claim, digest):
        text = "\n".join((ALGORITHM, claim.timestamp, scope, hashlib.sha256(canonical).hexdigest()))
        expected = hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
        if hmac.compare_digest(expected.encode(), claim.signature.encode("utf-8", "replace")):
            return principal
    raise Refused("the signature does not match")


def _from_header(request: HttpRequest, query: str, now: datetime) -> _Claim:
    values = request.values("authorization")
    if len(values) != 1 or not values[0].startswith(ALGORITHM + " "):
        raise Refused("not signed with AWS Signature Version 4")
    fields = dict(part.strip().partition("=")[::2] for part in values[0][len(ALGORITHM) :].split(","))
    if set(fields) != {"Credential", "SignedHeaders", "Signature"}:
        raise Refused("Authorization wants Credential, SignedHeaders and Signature")
    timestamp = _timestamp(request)
    if abs(_moment(timestamp) - now) > TOLERANCE:
        raise Refused("signed more than five minutes away from now")
    signed = tuple(fields["SignedHeaders"].split(";"))
    dated = "x-amz-date" if request.values("x-amz-date") else "date"
    if "host" not in signed or dated not in signed:
        raise Refused(f"the signed headers lack host or {dated}")
    return _claim(fields["Credential"], fields["Signature"], signed, timestamp, query)


def _from_query(query: str, now: datetime) -> _Claim:
    fields = {key: _text(value) for key, value in _pairs(query) if key.startswith("X-Amz-")}
    wanted = ("X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Date", "X-Amz-Expires", "X-Amz-SignedHeaders")
    if any(name not in fields for name in wanted) or fields["X-Amz-Algorithm"] != ALGORITHM:
        raise Refused("the query lacks a part of the signature")
    expires = fields["X-Amz-Expires"]
    if not expires.isdecimal() or not 1 <= int(expires) <= LONGEST_PRESIGNED:
        raise Refused("X-Amz-Expires wants 1 to 604800 seconds")
    begin = _moment(fields["X-Amz-Date"])
    if not begin - TOLERANCE <= now <= begin + timedelta(seconds=int(expires)):
        raise Refused("the presigned URL is not valid now")
    signed = tuple(fields["X-Amz-SignedHeaders"].split(";"))
    if "host" not in signed:
        raise Refused("the signed headers lack host")
    rest = "&".join(part for part in query.split("&") if not part.startswith("X-Amz-Signature="))
    return _claim(fields["X-Amz-Credential"], fields["X-Amz-Signature"], signed, fields["X-Amz-Date"], rest)


def _claim(credential: str, signature: str, signed: tuple[str, ...], timestamp: str, query: str) -> _Claim:
    match = _CREDENTIAL.match(credential)
    if match is None or match[2] != timestamp[:8]:
        raise Refused("the credential scope is malformed or of another day")
    return _Claim(match[1], match[2], match[3], match[4], signed, signature, timestamp, query)


def _timestamp(request: HttpRequest) -> str:
    """The date of the signature as YYYYMMDDTHHMMSSZ: X-Amz-Date, or else Date."""
    if stamps := request.values("x-amz-date"):
        return stamps[0]
    try:
        return parsedate_to_datetime(request.values("date")[0]).astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
    except (IndexError, ValueError):
        raise Refused("there is no X-Amz-Date") from None


def _moment(timestamp: str) -> datetime:
    try:
        return datetime.strptime(timestamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        raise Refused("X-Amz-Date wants the form YYYYMMDDTHHMMSSZ") from None


def _canonical_requests(request: HttpRequest, path: str, claim: _Claim, digest: str) -> Iterator[bytes]:
    lines = []
    for name in claim.signed:
        values = request.values(name)
        if name != name.lower() or not values:
            raise Refused(f"the signed header {name!r} is not there")
        lines.append(name.encode("latin-1", "replace") + b":" + b",".join(map(_trimmed, values)))
    headers = b"\n".join(lines)
    for uri in dict.fromkeys(_encoded(path) for path in (_normalised(path), path or "/")):
        for query in dict.fromkeys((_canonical_query(claim.query), _sorted_query(claim.query))):
            parts = (request.method.encode(), uri.encode(), query.encode("utf-8", "surrogateescape"), headers, b"")
            yield b"\n".join((*parts, ";".join(claim.signed).encode(), digest.encode()))


def _trimmed(value: str) -> bytes:
    # split as bytes: as text, the second byte of an "à" in UTF-8 would count as a space
    return b" ".join(value.encode("latin-1", "replace").split())


def _encoded(path: str) -> str:
    """The path as sent, escaped once more (every service but S3 signs it twice-encoded)."""
    return quote(path.encode("latin-1", "replace"), safe="/" + _UNRESERVED)


def _normalised(path: str) -> str:
    """Without dot segments and empty segments (RFC 3986, 5.2.4)."""
    kept: list[str] = []
    for part in path.split("/"):
        if part == "..":
            del kept[-1:]
        elif part not in ("", "."):
            kept.append(part)
    directory = path.endswith(("/", "/.", "/..")) and bool(kept)
    return "/" + "/".join(kept) + ("/" if directory else "")


def _pairs(query: str) -> list[tuple[str, str]]:
    return [(key, value) for key, _, value in (part.partition("=") for part in query.split("&") if part)]


def _text(escaped: str) -> str:
    return unquote_to_bytes(escaped).decode("utf-8", "replace")


def _canonical_query(query: str) -> str:
    """Every name and value decoded and escaped anew, sorted by what results."""
    escaped = [tuple(quote(unquote_to_bytes(text), safe=_UNRESERVED) for text in pair) for pair in _pairs(query)]
    return "&".join(f"{key}={value}" for key, value in sorted(escaped))


def _sorted_query(query: str) -> str:
    """The query as sent, sorted (what SDKs sign when they are handed a finished URL)."""
    return "&".join(f"{key}={value}" for key, value in sorted(_pairs(query)))


def _signing_key(secret: str, day: str, region: str, service: str) -> bytes:
    key = f"AWS4{secret}".encode()
    for part in (day, region, service, "aws4_request"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return key
