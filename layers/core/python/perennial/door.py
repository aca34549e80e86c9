"""What stages that people call over HTTPS have in common: a body comes in, an answer goes out, whatever happens."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from aws_lambda_powertools import Logger
from pydantic import BaseModel, ValidationError

from perennial.errors import PerennialError, Retriable
from perennial.serving.envelope import Reply, error_reply
from perennial.serving.errors import RequestRefused
from perennial.serving.strict_json import parse

# What a person decides takes far less.
MAX_BODY = 16 * 1024

Event = Mapping[str, Any]
Asked = TypeVar("Asked", bound=BaseModel)


def answered(act: Callable[[], Reply], logger: Logger) -> Reply:
    """The reply of `act`: what the caller did wrong is a 4xx, a passing fault 503, any other named reason 502."""
    try:
        return act()
    except RequestRefused as refused:
        return error_reply(refused.status, str(refused))
    except Retriable as error:
        return error_reply(503, f"try again: {error}", {"retry-after": "1"})
    except PerennialError as error:  # not the caller's: a person has to put it right
        told = f"{type(error).__name__}: {error}"
        logger.exception("failed", extra={"cause": told})
        return error_reply(502, told)


def read_json(event: Event, most: int, advice: str = "") -> dict[str, Any]:
    """The body of a request as a JSON object; `most` is how many bytes it may have, `advice` what to do beyond.

    Raises RequestRefused (400, 413).
    """
    text = event.get("body") or ""
    if len(text) > most:
        raise RequestRefused(f"the body is larger than {most:,} bytes{advice}", 413)
    if event.get("isBase64Encoded"):
        try:
            text = base64.b64decode(text, validate=True).decode("utf-8")
        except (binascii.Error, UnicodeDecodeError) as error:
            raise RequestRefused("the body is not text in UTF-8") from error
    return parse(text)


def read_body(event: Event, kind: type[Asked]) -> Asked:
    """The body of a request as `kind`. Raises RequestRefused (400, 413)."""
    body = read_json(event, MAX_BODY)
    try:
        return kind.model_validate(body)
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False, include_context=False)[0]
        raise RequestRefused(f"{'.'.join(map(str, found['loc'])) or 'the body'}: {found['msg']}") from error
