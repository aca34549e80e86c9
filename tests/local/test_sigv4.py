"""Signatures are verified as API Gateway does; botocore and curl are the signers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from urllib.parse import quote, urlencode, urlsplit

import botocore.auth
import pytest
from botocore.auth import SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as BotoCredentials
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.local.context import Credentials, Principal
from infra.local.sigv4 import HttpRequest, Refused, verify

REGION = "eu-west-1"
KNOWN = Credentials()
WHO = KNOWN.issue("arn:aws:iam::123456789012:user/someone")
HOST = "127.0.0.1:4567"


def signed(
    method: str,
    target: str,
    body: bytes = b"",
    headers: Mapping[str, str] | None = None,
    *,
    who: Principal = WHO,
    region: str = REGION,
    service: str = "execute-api",
    presign: int = 0,
) -> HttpRequest:
    """The request as botocore signs it and an HTTP client would send it."""
    request = AWSRequest(method, f"http://{HOST}{target}", data=body, headers=dict(headers or {}))
    keys = BotoCredentials(who.access_key, who.secret_key)
    if presign:
        SigV4QueryAuth(keys, service, region, expires=presign).add_auth(request)
    else:
        SigV4Auth(keys, service, region).add_auth(request)
    parts = urlsplit(str(request.url))
    sent = [("Host", HOST)]
    sent += [(name, value if isinstance(value, str) else value.decode()) for name, value in request.headers.items()]
    wire = [(name, value.encode().decode("latin-1")) for name, value in sent]
    return HttpRequest(method, parts.path + (f"?{parts.query}" if parts.query else ""), wire, body)


def check(request: HttpRequest, now: datetime | None = None) -> Principal:
    return verify(request, KNOWN.find, region=REGION, now=now)


def replaced(request: HttpRequest, name: str, value: str) -> list[tuple[str, str]]:
    return [(key, value if key.lower() == name else old) for key, old in request.headers]


paths = st.lists(st.text(min_size=0, max_size=8), max_size=5).map(
    lambda parts: "/" + "/".join(quote(part, safe="-_.~") for part in parts)
)
queries = st.lists(st.tuples(st.text(min_size=1, max_size=6), st.text(max_size=6)), max_size=4)


@settings(deadline=None)  # the machine may be busy
@given(st.sampled_from(["GET", "POST", "PUT", "DELETE"]), paths, queries, st.binary(max_size=200))
def test_what_botocore_signs_is_accepted(method: str, path: str, query: list[tuple[str, str]], body: bytes) -> None:
    target = path + ("?" + urlencode(query, quote_via=quote) if query else "")
    assert check(signed(method, target, body)) == WHO


@settings(deadline=None)  # the machine may be busy
@given(paths, st.integers(0, 199), st.binary(min_size=1, max_size=200))
def test_a_changed_byte_of_the_body_is_refused(path: str, position: int, body: bytes) -> None:
    request = signed("POST", path, body)
    position %= len(body)
    changed = body[:position] + bytes([body[position] ^ 1]) + body[position + 1 :]
    with pytest.raises(Refused, match="does not match"):
        check(HttpRequest(request.method, request.target, request.headers, changed))


@pytest.mark.parametrize(
    "target",
    [
        "/v2/models/late-flights/infer",
        "/a//b///c",
        "/a/./b/../c/",
        "/sp%20ace/%C3%BC/%2F/plus+plus",
        "/q?b=2&a=1&a=0&empty=&flag",
        "/q?name=a%20b&sign=%2B%3D&utf=%E2%82%AC",
        "/",
    ],
)
@pytest.mark.parametrize("presign", [0, 300])
def test_odd_paths_and_queries_are_canonicalised(target: str, presign: int) -> None:
    if presign and "a=1&a=0" in target:
        target = "/q?b=2&a=1"  # botocore's presigner drops repeated names
    assert check(signed("GET", target, presign=presign)) == WHO


def test_header_values_are_trimmed_and_utf8_survives() -> None:
    assert check(signed("GET", "/x", headers={"X-Amz-Note": "  two   à  words ", "X-Two": "b"})) == WHO


def test_an_escape_in_lower_case_is_the_same_query() -> None:
    request = signed("GET", "/q?sign=%2B")
    assert check(HttpRequest("GET", "/q?sign=%2b", request.headers)) == WHO


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        (lambda: HttpRequest("GET", "/x", [("Host", HOST)]), "not signed"),
        (lambda: HttpRequest("GET", "/x", [("Host", HOST), ("Authorization", "Basic Zm9v")]), "not signed"),
        (lambda: HttpRequest("GET", "/x", [("Authorization", "AWS4-HMAC-SHA256 Credential=a")]), "wants Credential"),
        (lambda: signed("GET", "/x", service="s3"), "signed for s3"),
        (lambda: signed("GET", "/x", region="us-east-1"), "us-east-1"),
        (lambda: signed("GET", "/x", who=Principal("AKIAUNKNOWN", "s", "arn")), "not known"),
        (lambda: signed("GET", "/x", who=Principal(WHO.access_key, "wrong", "arn")), "does not match"),
        (lambda: signed("GET", "/x", headers={"X-Amz-Content-SHA256": "UNSIGNED-PAYLOAD"}), "digest of the body"),
    ],
)
def test_a_request_without_a_good_signature_is_refused(made: Callable[[], HttpRequest], reason: str) -> None:
    with pytest.raises(Refused, match=reason):
        # signed here, not when the tests are collected: a signature is good for five minutes
        check(made())


def test_another_method_path_host_or_query_than_signed_is_refused() -> None:
    request = signed("POST", "/x?a=1", b"body")
    for changed in (
        HttpRequest("PUT", request.target, request.headers, request.body),
        HttpRequest("POST", "/y?a=1", request.headers, request.body),
        HttpRequest("POST", "/x?a=2", request.headers, request.body),
        HttpRequest("POST", request.target, replaced(request, "host", "127.0.0.1:1"), request.body),
    ):
        with pytest.raises(Refused):
            check(changed)


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch) -> Iterator[datetime]:
    """A fixed moment at which botocore signs."""
    moment = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
    monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda *a, **k: moment)
    yield moment


def test_a_signature_lives_five_minutes_either_way(at: datetime) -> None:
    request = signed("GET", "/x")
    for minutes in (-4.9, 0, 4.9):
        assert check(request, at + timedelta(minutes=minutes)) == WHO
    for minutes in (-5.1, 5.1, 60 * 24):
        with pytest.raises(Refused, match="five minutes"):
            check(request, at + timedelta(minutes=minutes))


def test_a_presigned_url_lives_as_long_as_it_says(at: datetime) -> None:
    request = signed("GET", "/x?a=1", presign=60)
    assert check(request, at + timedelta(seconds=59)) == WHO
    with pytest.raises(Refused, match="not valid now"):
        check(request, at + timedelta(seconds=61))
    with pytest.raises(Refused, match="604800"):
        check(signed("GET", "/x", presign=604801), at)


def test_host_and_date_must_be_among_the_signed_headers() -> None:
    request = signed("GET", "/x")
    value = request.values("authorization")[0].replace("host;x-amz-date", "x-amz-date")
    with pytest.raises(Refused, match="lack host"):
        check(HttpRequest("GET", "/x", replaced(request, "authorization", value)))


def test_a_scope_of_another_day_is_refused() -> None:
    request = signed("GET", "/x")
    value = request.values("authorization")[0]
    day = value.split("/")[1]
    with pytest.raises(Refused, match="another day"):
        check(HttpRequest("GET", "/x", replaced(request, "authorization", value.replace(day, "20200101"))))
