"""What every service of the local cloud is handed: addresses, clock, credentials, clients."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import boto3
from botocore.config import Config

from infra.local.clock import Clock
from infra.local.iam.authority import Authority
from infra.local.iam.principals import user_of_key

if TYPE_CHECKING:
    from werkzeug import Request, Response

ACCOUNT = "123456789012"


class Service(Protocol):
    """A part of AWS that moto does not imitate well enough, answered by the local cloud itself."""

    def handle(self, request: Request) -> Response | None:
        """Answer the request, or None to pass it on (in the end to moto)."""
        ...

    def stop(self) -> None:
        """End every thread and process of this service."""
        ...


@dataclass(frozen=True)
class Principal:
    """Who signs with an access key: the key's secret and the ARN the call is made as."""

    access_key: str
    secret_key: str = field(repr=False)
    arn: str
    administrator: bool = False  # may do whatever no resource's own policy denies


class Credentials:
    """Access keys of this run of the cloud; made at random, forgotten when it stops."""

    def __init__(self) -> None:
        self._principals: dict[str, Principal] = {}
        self._lock = threading.Lock()

    def issue(self, arn: str, *, administrator: bool = False) -> Principal:
        """A new key pair for the principal `arn` (an IAM user, or a session of a role)."""
        prefix = "ASIA" if ":assumed-role/" in arn else "AKIA"
        access_key = f"{prefix}{secrets.token_hex(8).upper()}"
        principal = Principal(access_key, secrets.token_urlsafe(30), arn, administrator)
        with self._lock:
            self._principals[principal.access_key] = principal
        return principal

    def find(self, access_key: str) -> Principal | None:
        """The principal that signs with `access_key`, or None."""
        with self._lock:
            return self._principals.get(access_key)


@dataclass(frozen=True)
class ImageSource:
    """What an image URI stands for locally: the staged build context of a Docker image asset, never built."""

    directory: Path
    dockerfile: str = "Dockerfile"
    build_args: tuple[tuple[str, str], ...] = ()


@dataclass
class Cloud:
    """One run of the local cloud."""

    port: int
    api_port: int
    workdir: Path
    region: str = "eu-west-1"
    account: str = ACCOUNT
    # functions see the wheels of their layers, and nothing of the checkout's environment
    strict: bool = False
    clock: Clock = field(default_factory=Clock)
    credentials: Credentials = field(default_factory=Credentials)
    # image URI (repository:tag, as the template writes it) → its source; filled while assets are published
    images: dict[str, ImageSource] = field(default_factory=dict)
    # how many tasks Fargate has room for at once; None: for any number
    fargate_room: int | None = None
    # puts an event (detail-type, resources, detail) of an AWS service (`aws.…`) on the default bus; EventBridge's own
    # PutEvents refuses such sources. Set by the events service; until then nobody listens
    service_event: Callable[[str, Mapping[str, Any]], Any] = field(default=lambda source, event: None, repr=False)

    def __post_init__(self) -> None:
        self.admin = self.credentials.issue(f"arn:aws:iam::{self.account}:user/local", administrator=True)
        self._clients: dict[tuple[str, int], Any] = {}
        self._lock = threading.Lock()

    @cached_property
    def authority(self) -> Authority:
        """Who decides what callers may do."""
        return Authority(self)

    def find_principal(self, access_key: str) -> Principal | None:
        """Who signs with `access_key`: a key that this cloud has issued, or one of an IAM user."""
        issued = self.credentials.find(access_key)
        if issued is not None or not access_key:
            return issued
        found = user_of_key(self.account, access_key)
        return Principal(access_key, found[1], found[0]) if found else None

    @property
    def endpoint(self) -> str:
        """Where every AWS API of this cloud answers."""
        return f"http://127.0.0.1:{self.port}"

    def client(self, service: str, attempts: int = 2) -> Any:
        """A boto3 client of `service` on this cloud, as its administrator (boto3 clients are thread-safe).

        It makes a call up to `attempts` times when the service fails or throttles.
        """
        with self._lock:
            if (service, attempts) not in self._clients:
                config = Config(retries={"mode": "standard", "total_max_attempts": attempts}, max_pool_connections=32)
                self._clients[service, attempts] = self.new_client(service, config)
            return self._clients[service, attempts]

    def new_client(self, service: str, config: Config) -> Any:
        """A client like `client`'s, not shared, with timeouts, retries and connections of its own."""
        session: Any = boto3.session.Session(
            aws_access_key_id=self.admin.access_key,
            aws_secret_access_key=self.admin.secret_key,
            region_name=self.region,
        )
        return session.client(service, endpoint_url=self.endpoint, config=config)
