"""From what stage deploy is asked (DeployInput) to what it answers (DeployOutput)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace

from perennial.catalog.model import ModelSpec
from perennial.errors import ExperimentInvalid
from perennial.events import DeployInput, DeployOutput
from perennial.governance.failures import explain
from perennial.registry import Experiment, ModelVersion, Registry
from perennial.rollout import results
from perennial.rollout.canary import Canary
from perennial.rollout.evidence import Arms, Totals, counted
from perennial.rollout.guards import guards_of, unanswered
from perennial.rollout.judge import Guard
from perennial.rollout.live import ALIAS
from perennial.rollout.looking import Onward, begun, looked, moved, shifted
from perennial.rollout.observed import Seen, observed
from perennial.rollout.pair import Pair, pair_of
from perennial.rollout.results import Labels
from perennial.rollout.retention import prune
from perennial.rollout.rollout import Rollout
from perennial.rollout.turn import Turn
from perennial.stage import InputInvalid


@dataclass(frozen=True)
class Steps:
    """The steps of rollouts. `spec_of` tells a model's spec; None when the catalog has it no longer."""

    registry: Registry
    rollout_of: Callable[[ModelVersion], Rollout]
    spec_of: Callable[[str], ModelSpec | None]
    totals: Totals
    kept_versions: int

    def take(self, message: DeployInput) -> DeployOutput:
        """Take one step. Raises InputInvalid when it comes before `publish`, which takes the turn."""
        version = self._asked(message)
        if message.action == "publish":
            if message.execution is None:
                raise InputInvalid("stage deploy: action publish needs execution, the ARN of the rollout's own")
            Turn(self.registry.items).take(message.model, message.execution, _number(message, version))
            # what was asked may have changed while another rollout had its turn
            version = self._asked(message)
        if version is None:
            return DeployOutput(model=message.model, version=None, **_failure(message))
        rollout = replace(self.rollout_of(version), pair=_pair(message, version, self.registry))
        known = DeployOutput(
            model=message.model,
            version=rollout.pair.experiment if rollout.pair else version.version,
            lambda_version=message.lambda_version,
            former=message.former,
            revision=message.revision,
            canary=message.canary,
        )
        if message.action == "publish":
            return known.model_copy(update=self._publish(message, rollout))
        if message.action == "restore":
            failed = rollout.restore(
                message.lambda_version,
                message.former,
                message.revision,
                message.canary,
                explain(message.failure or {}),
                message.as_of,
            )
            return known.model_copy(update={"error": failed.error, "cause": failed.cause})
        if message.action == "prune":
            deleted = prune(message.model, rollout.function, self.registry, self.kept_versions)
            return known.model_copy(update={"deleted": deleted})
        return known.model_copy(update=self._try(message, rollout))

    def _asked(self, message: DeployInput) -> ModelVersion | None:
        """The version that is meant; None for the champion where there is none. Raises VersionUnknown."""
        if message.version == "champion":
            return self.registry.champion(message.model)
        number = message.version if isinstance(message.version, int) else message.version.champion
        return self.registry.get(message.model, number)

    def _publish(self, message: DeployInput, rollout: Rollout) -> dict[str, object]:
        """What is known from then on. Where nothing serves that a challenger could be compared with, no canary is."""
        published = rollout.publish_again() if message.version == "champion" else rollout.publish()
        if published is None:
            return {}
        spec = self.spec_of(message.model)
        beside = rollout.carrying_champion() == published.former != published.lambda_version
        plan = spec.rollout if spec and beside else None
        return {**asdict(published), "canary": Canary(plan=plan) if plan else None}

    def _try(self, message: DeployInput, rollout: Rollout) -> dict[str, object]:
        lambda_version, former, revision = message.lambda_version, message.former, message.revision
        if lambda_version is None or former is None or revision is None:
            raise InputInvalid(f"stage deploy: action {message.action} needs lambda_version, former and revision")
        if message.action == "check":
            rollout.check(lambda_version, message.as_of)
            return {}
        if message.action == "smoke":
            # the last thing before the first shift, so that an environment of the version is warm
            rollout.smoke(lambda_version, message.as_of)
            return {}
        Turn(self.registry.items).check(message.model, message.execution)
        if message.action == "shift":
            return self._shift(message, rollout, lambda_version, former, revision)
        if message.action == "look":
            return self._look(message, rollout, lambda_version, former)
        rollout.verify(lambda_version, str(message.execution), message.canary, message.as_of)
        return {}

    def _shift(
        self, message: DeployInput, rollout: Rollout, lambda_version: str, former: str, revision: str
    ) -> dict[str, object]:
        canary, share = message.canary, None
        if canary is not None and not canary.promoted:
            canary = begun(canary, message.as_of)
            share = canary.weight
        onto = rollout.shift(lambda_version, former, revision, share)
        if canary is not None and share is not None:
            champion = self.registry.champion_entry(message.model)
            rollout.facts.shifted(lambda_version, canary, champion.version if champion else None, message.as_of)
        return {"revision": onto, **_onward(shifted(canary))}

    def _look(self, message: DeployInput, rollout: Rollout, lambda_version: str, former: str) -> dict[str, object]:
        if message.canary is None or not message.canary.starts:
            raise InputInvalid("stage deploy: action look needs a canary, from shift")
        canary = moved(message.canary, message.moved)
        rollout.watch(lambda_version, former, canary.weight)
        arms = Arms(message.model, rollout.function.name, ALIAS, lambda_version, former)
        steps = counted(arms, canary, message.as_of, self.totals)
        seen = observed(rollout.data, arms, canary.windows(message.as_of))
        guards = [
            unanswered(canary.plan.errors, steps, seen),
            *guards_of(canary.plan, [one for window in seen for one in window], rollout.offline()),
            *self._results(message, canary, rollout, seen),
        ]
        return _onward(looked(canary, steps, guards, message.as_of))

    def _results(
        self, message: DeployInput, canary: Canary, rollout: Rollout, seen: Sequence[Sequence[Seen]]
    ) -> list[Guard]:
        """What outcomes say, where they are of one version each."""
        spec = self.spec_of(message.model)
        if spec is None or rollout.pair is not None:
            return []
        labels = Labels.of(spec, rollout.classes(), rollout.offline())
        outcomes = results.read(rollout.data, message.model, canary.starts[0], message.as_of)
        until = canary.windows(message.as_of)[-1][1]
        return results.results_of(canary.plan, results.with_results(seen, outcomes, labels, until))


def _number(message: DeployInput, version: ModelVersion | None) -> int | None:
    """The version that whoever takes this rollout back takes back: of an experiment its challenger."""
    if isinstance(message.version, Experiment):
        return message.version.challenger
    return version.version if version else None


def _pair(message: DeployInput, version: ModelVersion, registry: Registry) -> Pair | None:
    """The experiment that is meant: the one that is asked for, or the one that the champion is in.

    Raises VersionUnknown, and ExperimentInvalid when it is not asked of the champion.
    """
    if isinstance(message.version, int):
        return None
    experiment = version.experiment if message.version == "champion" else message.version
    if message.action == "publish" and experiment is not None and version.state != "deployed":
        raise ExperimentInvalid(f"model {message.model}: version {version.version} does not serve")
    return pair_of(message.model, experiment, registry) if experiment else None


def _onward(onward: Onward) -> dict[str, object]:
    failure = {"error": onward.failure.error, "cause": onward.failure.cause} if onward.failure else {}
    return {"next": onward.next, "canary": onward.canary, "wait": onward.wait, **failure}


def _failure(message: DeployInput) -> dict[str, str]:
    """What the execution fails with when it was asked to go back before it knew of any version."""
    if message.action != "restore":
        return {}
    failure = explain(message.failure or {})
    return {"error": failure.error, "cause": failure.cause}
