"""The one preamble every stage shares: logger, metrics, parsing, named errors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit
from pydantic import BaseModel, ValidationError

from perennial.errors import PerennialError, Refused

Input = TypeVar("Input", bound=BaseModel)

# Step Functions takes a cause of up to 32,768 characters; a person reads less.
CAUSE_CHARACTERS = 4000


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

    def count(outcome: str) -> None:
        metrics.add_metric(name=outcome, unit=MetricUnit.Count, value=1)
        metrics.flush_metrics()

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
            count("Refused")
            raise
        except Exception:
            logger.exception("stage failed")
            count("Failed")
            raise
        else:
            logger.info("stage done", extra={"output": output})
            count("Done")
            return output

    return handler


def task(name: str, run: Callable[[Callable[[str], None]], None], report: Callable[[str, str], None]) -> int:
    """The exit status of a container task of the stage `name`: 0 when `run` returns, else 1.

    `run` gets a function that writes one line of progress to the log. What it raises goes, by class name and readable
    cause, to `report`, since a task has no other way to say why it failed; the traceback stays in the log.
    """
    logger = Logger(service=name)
    try:
        run(logger.info)
    except Exception as error:
        if isinstance(error, PerennialError):
            logger.warning("stage refused", extra={"error": type(error).__name__, "cause": str(error)})
        else:
            logger.exception("stage failed")
        report(type(error).__name__, (str(error) or "no message")[:CAUSE_CHARACTERS])
        return 1
    logger.info("stage done")
    return 0
