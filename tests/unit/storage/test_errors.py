"""What AWS answers, as named reasons: the answers are put in where botocore would send, and parsed by botocore."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from boto3.s3.transfer import TransferConfig
from botocore.awsrequest import AWSResponse, HTTPHeaders
from botocore.exceptions import ParamValidationError
from moto.core.botocore_stubber import BotocoreStubber
from urllib3.exceptions import ProtocolError, ReadTimeoutError

from perennial.errors import AccessRefused, StorageUnavailable
from perennial.storage.items import ABSENT, Items
from perennial.storage.objects import Objects
from tests.aws import fresh_account

Answer = Callable[[], AWSResponse]


class Broken(io.BytesIO):
    """A body whose connection ends before it does, as urllib3 tells it."""

    def __init__(self, error: Exception) -> None:
        super().__init__(b"half")
        self.error = error

    def read(self, *_: Any) -> bytes:
        raise self.error

    def stream(self, *_: Any, **__: Any) -> Iterator[bytes]:
        yield self.getvalue()


class Shop(NamedTuple):
    objects: Objects
    items: Items


@pytest.fixture
def shop(monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    """A bucket and a table; botocore does not wait between its attempts."""
    monkeypatch.setattr("time.sleep", lambda _: None)
    with fresh_account() as account:
        yield Shop(Objects(account.bucket("data")), Items(account.table("registry")))


def s3_error(status: int, code: str) -> Answer:
    body = f"<Error><Code>{code}</Code><Message>m</Message></Error>".encode()
    return lambda: AWSResponse("https://s3", status, HTTPHeaders(), _Raw(body))


def dynamodb_error(code: str) -> Answer:
    body = json.dumps({"__type": f"com.amazonaws.dynamodb.v20120810#{code}", "message": "m"}).encode()
    return lambda: AWSResponse("https://dynamodb", 400, HTTPHeaders(), _Raw(body))


class _Raw(io.BytesIO):
    def stream(self, *_: Any, **__: Any) -> Iterator[bytes]:
        yield self.getvalue()


@contextmanager
def answering(operation: str, answer: Answer, times: int = 1000) -> Iterator[list[str]]:
    """The first `times` calls of an operation are answered so, in moto's place; yields the calls made in all."""
    calls: list[str] = []
    moto = BotocoreStubber.__call__

    def send(self: BotocoreStubber, event_name: str, request: Any, **more: Any) -> Any:
        if event_name != f"before-send.{operation}":
            return moto(self, event_name, request, **more)
        calls.append(operation)
        return answer() if len(calls) <= times else moto(self, event_name, request, **more)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(BotocoreStubber, "__call__", send)
        yield calls


@pytest.mark.parametrize("whole", [True, False], ids=["path", "open file"])
@pytest.mark.parametrize(
    ("status", "code", "reason"),
    [(503, "SlowDown", StorageUnavailable), (500, "InternalError", StorageUnavailable),
     (403, "AccessDenied", AccessRefused)],
)  # fmt: skip
@pytest.mark.parametrize("operation", ["PutObject", "UploadPart", "CompleteMultipartUpload"])
def test_an_upload_that_s3_refuses_says_why(
    shop: Shop, tmp_path: Path, operation: str, status: int, code: str, reason: type[Exception], whole: bool
) -> None:
    path = tmp_path / "part"
    size = 1 if operation == "PutObject" else TransferConfig().multipart_threshold
    path.write_bytes(b"x" * size)

    refused = pytest.raises(reason, match=f"put s3://{shop.objects.bucket}/a")
    with answering(f"s3.{operation}", s3_error(status, code)) as calls, path.open("rb") as file, refused:
        shop.objects.upload("a", path if whole else file)

    assert calls


@pytest.mark.parametrize("operation", ["HeadObject", "GetObject"])
def test_a_download_that_s3_refuses_says_why(shop: Shop, tmp_path: Path, operation: str) -> None:
    shop.objects.put("a", b"x")

    with answering(f"s3.{operation}", s3_error(503, "SlowDown")), pytest.raises(StorageUnavailable):
        shop.objects.download("a", tmp_path / "a")


@pytest.mark.parametrize(
    "error",
    [ProtocolError("connection broken"), ReadTimeoutError(None, "https://s3", "timed out")],  # type: ignore[arg-type]
)
@pytest.mark.parametrize("read", ["get", "fetch", "download"])
def test_a_body_that_breaks_off_is_an_outage(shop: Shop, tmp_path: Path, error: Exception, read: str) -> None:
    shop.objects.put("a", b"x")

    headers = HTTPHeaders.from_dict({"content-length": "8", "ETag": '"e"'})

    def answer() -> AWSResponse:
        return AWSResponse("https://s3", 200, headers, Broken(error))

    with answering("s3.GetObject", answer), pytest.raises(StorageUnavailable):
        if read == "get":
            shop.objects.get("a")
        elif read == "fetch":
            shop.objects.fetch("a", tmp_path / "a", "e")
        else:
            shop.objects.download("a", tmp_path / "a")


WRITES: dict[str, Callable[[Items], None]] = {
    "PutItem": lambda items: items.put({"pk": "a", "sk": "b"}, ABSENT),
    "UpdateItem": lambda items: items.update("a", "b", {"n": 1}),
    "DeleteItem": lambda items: items.delete("a", "b"),
}


@pytest.mark.parametrize("operation", WRITES)
def test_an_item_in_somebodys_transaction_can_be_written_later(shop: Shop, operation: str) -> None:
    conflict = dynamodb_error("TransactionConflictException")

    refused = pytest.raises(StorageUnavailable, match="TransactionConflict")
    with answering(f"dynamodb.{operation}", conflict), refused:
        WRITES[operation](shop.items)


CONFLICT = s3_error(409, "ConditionalRequestConflict")


def test_a_create_that_meets_a_conflict_is_tried_again(shop: Shop) -> None:
    with answering("s3.PutObject", CONFLICT, times=2) as calls:
        assert shop.objects.create("a", b"mine")

    assert (shop.objects.get("a"), len(calls)) == (b"mine", 3)


def test_a_create_that_lost_the_conflict_says_that_there_was_one(shop: Shop) -> None:
    shop.objects.put("a", b"theirs")

    with answering("s3.PutObject", CONFLICT, times=1):
        assert not shop.objects.create("a", b"mine")

    assert shop.objects.get("a") == b"theirs"


def test_a_create_in_conflict_for_long_is_an_outage_and_wrote_nothing(shop: Shop) -> None:
    outage = pytest.raises(StorageUnavailable, match=re.escape(f"create s3://{shop.objects.bucket}/a"))
    with answering("s3.PutObject", CONFLICT) as calls, outage:
        shop.objects.create("a", b"mine")

    assert 1 < len(calls) < 20
    assert list(shop.objects.list("")) == []


def test_a_call_with_wrong_arguments_is_no_outage(shop: Shop) -> None:
    with pytest.raises(ParamValidationError):
        Objects("no bucket is called so").get("a")
