"""What is watched of a model that serves: parts `monitor` and `value` of the model spec."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field, model_validator

from perennial.catalog.schedule import check_schedule
from perennial.catalog.spec import Seconds, Spec

DAY = 86_400


def _whole_days(seconds: int) -> int:
    if seconds % DAY:
        raise ValueError(f"{seconds} s: windows and horizons are whole days, as 28d")
    return seconds


Days = Annotated[Seconds, AfterValidator(_whole_days)]


class Monitor(Spec):
    """The last `window` of predictions is looked at as often as `schedule` says (None: when a person asks).

    An outcome counts when it arrives within `horizon` of its prediction, so that only predictions older than that are
    asked how good they were. Harm is to be more than `margin` worse in `metric` (the task's first, when not named) than
    the version was on the rows held out when it was trained; of a regression, by so large a share. `slices` are
    features by whose values performance is told apart, where a value has `support` outcomes at least.
    """

    schedule: Annotated[str, AfterValidator(check_schedule)] | None = "rate(1 day)"
    window: Days = Field(default=28 * DAY, ge=7 * DAY, le=92 * DAY)
    horizon: Days = Field(default=7 * DAY, ge=DAY, le=366 * DAY)
    metric: str | None = None
    margin: float = Field(default=0.02, ge=0)
    slices: list[str] = Field(default=[], max_length=16)
    support: int = Field(default=200, ge=20)


class Value(Spec):
    """What a prediction is worth, in the spec's `amount_unit`, besides the amounts that outcomes carry.

    `matrix` gives the worth by true and predicted class (of a binary task `false` and `true`, else the class as text):
    what it does not name is worth nothing. From probability `threshold` on a binary prediction counts as true.
    """

    matrix: dict[str, dict[str, float]] = Field(min_length=1, max_length=200)
    threshold: float = Field(default=0.5, gt=0, lt=1)

    @model_validator(mode="after")
    def _finite(self) -> Value:
        for true, row in self.matrix.items():
            for predicted, worth in row.items():
                if not abs(worth) < float("inf"):
                    raise ValueError(f"matrix.{true}.{predicted} is {worth}, no amount")
        return self
