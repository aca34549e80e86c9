"""The model registry: versions numbered without gaps, and the history of the champion."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from perennial.errors import ConditionFailed, StorageUnavailable, VersionUnknown
from perennial.registry.models import (
    Carrier,
    Champion,
    ModelVersion,
    Review,
    State,
    model_pk,
    version_prefix,
    version_sk,
)
from perennial.storage.items import ABSENT, Items

CHAMPION = "ALIAS#champion"
HISTORY = f"{CHAMPION}#HISTORY#"

# Each failed attempt means that another writer took the number.
ATTEMPTS = 100


@dataclass(frozen=True)
class Registry:
    """The model registry in the registry table."""

    items: Items

    # ---- versions

    def claim(self, model: str, run: str, at: datetime) -> ModelVersion:
        """The version of a run: a new one with the next number, or the one that the run has already.

        One transaction writes the number, the version (state `registering`) and the run, so a number always has its
        version, a run at most one, and a registration that died is finished under the same number. Raises
        StorageUnavailable.
        """
        for _ in range(ATTEMPTS):
            known = self.of_run(model, run)
            if known is not None:
                return known
            head = self.items.get(model_pk(model), "HEAD")
            latest = int(head["latest"]) if head else 0
            number = latest + 1
            version = ModelVersion(
                model=model, version=number, run=run, state="registering", prefix=version_prefix(model, number), at=at
            )
            try:
                self.items.transact(
                    self._advance(model, latest),
                    self.items.put_action(version.to_item(), ABSENT),
                    self.items.put_action({"pk": model_pk(model), "sk": f"RUN#{run}", "version": number}, ABSENT),
                )
            except ConditionFailed:
                continue
            return version
        raise StorageUnavailable(f"model {model}: no free version number after {ATTEMPTS} attempts")

    def complete(self, version: ModelVersion) -> None:
        """Show a claimed version with what is known of it now; its directory is whole. Repeats change nothing.

        Raises VersionUnknown when the number was claimed by another run, or by none.
        """
        try:
            self.items.put(
                version.to_item(),
                "#state = :registering AND #run = :run",
                {":registering": "registering", ":run": version.run},
                {"#state": "state", "#run": "run"},
            )
        except ConditionFailed:
            known = self.find(version.model, version.version)
            if known is None or known.run != version.run:
                raise VersionUnknown(f"run {version.run} has no claim on {version.model} {version.version}") from None

    def of_run(self, model: str, run: str) -> ModelVersion | None:
        """The version of a run, even while it is being registered; None when it has none."""
        item = self.items.get(model_pk(model), f"RUN#{run}")
        return self.find(model, int(item["version"])) if item else None

    def find(self, model: str, version: int) -> ModelVersion | None:
        """A version in any state, or None."""
        item = self.items.get(model_pk(model), version_sk(version))
        return ModelVersion.model_validate(item) if item else None

    def get(self, model: str, version: int) -> ModelVersion:
        """A registered version. Raises VersionUnknown."""
        found = self.find(model, version)
        if found is None or found.state == "registering":
            raise VersionUnknown(f"model {model} has no version {version}")
        return found

    def list_versions(self, model: str) -> list[ModelVersion]:
        """The registered versions of a model, oldest first."""
        found = (ModelVersion.model_validate(item) for item in self.items.query(model_pk(model), "VERSION#"))
        return [version for version in found if version.state != "registering"]

    def reviewed(self, model: str, version: int, state: State, review: Review) -> None:
        """Note what became of a version that waits for approval; one that waits no more stays as it is."""
        changes = {"state": state, "review": review.model_dump(mode="json", exclude_none=True)}
        try:
            self.items.update(
                model_pk(model),
                version_sk(version),
                changes,
                "#state = :unapproved",
                {":unapproved": "unapproved"},
                {"#state": "state"},
            )
        except ConditionFailed:
            return

    def retired(self, model: str, version: int, lambda_version: str) -> None:
        """Note that this Lambda version is about to be deleted; what else is known of it stays.

        Raises ConditionFailed when it does not carry the version (any more), or the version is the champion.
        """
        self.items.update(
            model_pk(model),
            version_sk(version),
            {"lambda_version": None},
            "lambda_version = :carried AND #state <> :deployed",
            {":carried": lambda_version, ":deployed": "deployed"},
            {"#state": "state"},
        )

    # ---- the champion

    def champion(self, model: str) -> ModelVersion | None:
        """The version that serves, or None."""
        current = self.champion_entry(model)
        return self.get(model, current.version) if current and current.version is not None else None

    def champion_entry(self, model: str) -> Champion | None:
        """The last change of what serves, or None when nothing ever served."""
        item = self.items.get(model_pk(model), CHAMPION)
        return Champion.model_validate(item) if item else None

    def champion_history(self, model: str) -> list[Champion]:
        """Every change of what serves, oldest first."""
        return [Champion.model_validate(item) for item in self.items.query(model_pk(model), HISTORY)]

    def champion_at(self, model: str, time: datetime) -> ModelVersion | None:
        """What served at an instant, as what it ran then; None when nothing did."""
        for entry in self._newest_first(model):
            if entry.at <= time:
                served = self.get(model, entry.version) if entry.version is not None else None
                return served.model_copy(update=entry.carried) if served else None
        return None

    def former_champion(self, model: str) -> int | None:
        """The version that served before the one that serves, however often that was rolled out again."""
        entries = self._newest_first(model)
        serving = next(entries, None)
        return next((one.version for one in entries if serving and one.version != serving.version), None)

    def _newest_first(self, model: str) -> Iterator[Champion]:
        return map(Champion.model_validate, self.items.query(model_pk(model), HISTORY, newest_first=True))

    def set_champion(
        self,
        model: str,
        version: int | None,
        former: int | None,
        *,
        at: datetime,
        why: str,
        carrier: Carrier | None = None,
        undoes: int | None = None,
        also: Sequence[dict[str, Any]] = (),
    ) -> Champion:
        """Let `version` (None: nothing) serve in place of `former`; nothing happens when it serves already.

        Alias, history and the states of both versions change in one transaction, and so does the `carrier` of the new
        one, together with the actions `also` (of Items). A champion that gets another carrier is a change too, in place
        of itself. The history's times never run backwards, so that `champion_at` has one answer: a change that claims
        to be older than the last one counts from the last one on. One that `undoes` a change follows just that.
        Raises ConditionFailed when something other than `former` serves, `version` may not, or one of `also` fails.
        """
        current = self.champion_entry(model)
        serving, last = (current.version, current.seq) if current else (None, 0)
        if undoes not in (None, last):
            raise ConditionFailed(f"model {model}: change {undoes} is not the last one, {last} is")
        if current is not None and serving == version:
            if version is None or carrier is None or carrier.model_dump() == current.carried:
                return current
            former = version
        if serving != former:
            raise ConditionFailed(f"model {model}: version {serving} serves, not {former}")
        carried = carrier.model_dump() if carrier else {}
        since = max(at, current.at) if current else at
        entry = Champion(
            model=model, seq=last + 1, version=version, former=former, at=since, why=why, undoes=undoes, **carried
        )
        item = {**entry.model_dump(mode="json"), "pk": model_pk(model)}
        unchanged = ("seq = :seq", {":seq": last}) if current else (ABSENT, None)
        actions = [
            self.items.put_action({**item, "sk": CHAMPION}, *unchanged),
            self.items.put_action({**item, "sk": f"{HISTORY}{entry.seq:08d}"}, ABSENT),
        ]
        if version is not None:
            actions.append(self._change(model, version, {"state": "deployed", **carried}))
        if former is not None and former != version:
            actions.append(self._change(model, former, {"state": "registered"}))
        self.items.transact(*actions, *also)
        return entry

    def _change(self, model: str, version: int, changes: dict[str, Any]) -> dict[str, Any]:
        """A change of a version that may serve; one that was refused, or is not whole, may not."""
        return self.items.update_action(
            model_pk(model),
            version_sk(version),
            changes,
            "#state IN (:registered, :deployed)",
            {":registered": "registered", ":deployed": "deployed"},
            {"#state": "state"},
        )

    def _advance(self, model: str, latest: int) -> dict[str, Any]:
        condition = "latest = :latest" if latest else ABSENT
        values = {":latest": latest} if latest else None
        return self.items.update_action(model_pk(model), "HEAD", {"latest": latest + 1}, condition, values)
