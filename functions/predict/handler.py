"""Predict: answer inference requests from the model bundle that is this function's code.

The bundle is verified and loaded once, while the function starts; no request and no start makes a network call.
"""

from __future__ import annotations

import os
from typing import Any

from perennial.serving.service import open_service, request_id_of

_SERVICE = open_service(os.environ["LAMBDA_TASK_ROOT"], os.environ.get("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"))


def lambda_handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """An HTTP API request (payload format 2.0) in, its reply out."""
    return _SERVICE.handle(event, request_id_of(context))
