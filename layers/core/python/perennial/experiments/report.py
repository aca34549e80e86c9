"""What `perennial experiment` says: the check of the split, both arms, and a verdict unless something withholds it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

from perennial.catalog.model import ModelSpec
from perennial.experiments.analysis import MIN_ENTITIES, ArmRows, Balance, Compared, balance, quality, value
from perennial.experiments.observed import Observed
from perennial.registry import Experiment

# What is compared where nothing else was asked for: what the catalog compares by, or this.
DEFAULT_METRIC = {"binary": "log_loss", "multiclass": "log_loss", "regression": "rmse"}


@dataclass(frozen=True)
class Report:
    """`withheld` says why there is no verdict, whatever the measures say."""

    experiment: Experiment
    arms: dict[str, ArmRows]
    excluded: dict[str, int]
    balance: Balance
    measures: list[Compared]
    withheld: str | None

    def to_json(self) -> dict[str, Any]:
        """For machines."""
        return {
            "experiment": self.experiment.model_dump(mode="json"),
            "arms": {
                name: {
                    "version": getattr(self.experiment, name),
                    "rows": arm.rows,
                    "entities": arm.entities,
                    "outcomes": len(arm.label),
                    "coverage": coverage(arm),
                }
                for name, arm in self.arms.items()
            },
            "excluded": self.excluded,
            "balance": {**asdict(self.balance), "held": self.balance.held},
            "measures": [asdict(one) for one in self.measures],
            "withheld": self.withheld,
        }


def coverage(arm: ArmRows) -> float | None:
    """The share of an arm's predictions whose outcome is known."""
    return len(arm.label) / arm.rows if arm.rows else None


def report(experiment: Experiment, spec: ModelSpec, observed: Observed) -> Report:
    """Everything that the rows say. With a wrong split the measures are there, but the verdict is withheld."""
    champion, challenger = observed.champion, observed.challenger
    split = balance(champion.entities, challenger.entities, experiment.share)
    withheld = _withheld(observed, split)
    measures = []
    if len(champion.label) and len(challenger.label):
        measures.append(quality(spec.task, experiment.metric, champion, challenger, experiment.alpha))
        paid = value(champion, challenger, experiment.alpha)
        measures += [paid] if paid else []
    return Report(
        experiment,
        {"champion": champion, "challenger": challenger},
        dict(observed.excluded),
        split,
        [replace(one, verdict="withheld") for one in measures] if withheld else measures,
        withheld,
    )


def _withheld(observed: Observed, split: Balance) -> str | None:
    if observed.crossed:
        return f"{observed.crossed:,} rows met another arm than the one of their entity"
    if not split.held:
        return (
            f"the split is not the one that was asked: {split.share:.2%} of the entities met the challenger, "
            f"{split.asked:.2%} should have"
        )
    known = min(len(set(arm.entity.tolist())) for arm in (observed.champion, observed.challenger))
    if known < MIN_ENTITIES:
        return f"outcomes of {known} entities in one arm, at least {MIN_ENTITIES} are needed"
    return None
