"""The one preamble every stage shares: logger, metrics, parsing, named errors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit
from pydantic import BaseModel, ValidationError

from perennial.errors import PerennialError, Refused

Input = TypeVar("Input", bound=BaseModel)


class InputInvalid(Refused):
    """The event does not have the shape this stage takes."""


def stage(
    name: str, parse: type[Input], run: Callable[[Input], BaseModel]
) -> Callable[[dict[str, Any], Any], dict[str, Any]]:
    """A Lambda handler for the stage `name`.

    The event is parsed as `parse`, `run` does the work, its result goes back as JSON-ready dict. A PerennialError keeps
    its class name, which is what the state machine's retries and catches match; anything else is counted as a defect.
    """
    logger = Logger(service=name)
    metrics = Metrics(namespace="Perennial", service=name)

    def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
        if context is not None:
            logger.append_keys(request_id=getattr(context, "aws_request_id", None))
        try:
            try:
                message = parse.model_validate(event)
            except ValidationError as error:
                raise InputInvalid(f"stage {name}: {error}") from error
            output = run(message).model_dump(mode="json")
        except PerennialError as error:
            logger.warning("stage refused", extra={"error": type(error).__name__, "cause": str(error)})
            metrics.add_metric(name="Refused", unit=MetricUnit.Count, value=1)
            raise
        except Exception:
            logger.exception("stage failed")
            metrics.add_metric(name="Failed", unit=MetricUnit.Count, value=1)
            raise
        else:
            logger.info("stage done", extra={"output": output})
            metrics.add_metric(name="Done", unit=MetricUnit.Count, value=1)
            return output
        finally:
            metrics.flush_metrics()

    return handler
