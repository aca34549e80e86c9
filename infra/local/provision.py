"""CloudFormation's part of the local cloud: makes what a template declares, and updates by difference.

A resource is touched only if its type or its *resolved properties* differ from those of the template before: what the
running system changed in between (the weights of an alias) stays as it is. Order as in CloudFormation: creations,
updates and replacements by dependency, what is independent at once, then removals in reverse. A failure rolls back.
Source: https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/using-cfn-updating-stacks-update-behaviors.html
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from infra.local.assembly import Stack, publish
from infra.local.context import Cloud
from infra.local.intrinsics import Scope, TemplateError, resolve, text_of
from infra.local.ordered import in_order
from infra.local.resources import REGISTRY
from infra.local.resources.base import Place, Properties, ResourceError, UnchangeableError
from infra.local.stack_events import StackEvents
from infra.local.stack_state import Deployed, Known, StackState
from infra.local.template import Declared, Template, parse

log = logging.getLogger(__name__)

# resources of one stack in the making at the same time: most of the time goes by in waiting (a function is Pending)
AT_ONCE = 8
EXPECTED = (ResourceError, TemplateError, ClientError, BotoCoreError, KeyError)


class ProvisionError(Exception):
    """A stack could not be brought to its template; the text names stack, resource and reason."""


class Provisioner:
    """The stacks of one cloud."""

    def __init__(self, cloud: Cloud, progress: Callable[[str], None] = lambda where: None) -> None:
        self._cloud = cloud
        self._progress = progress
        self._generations: dict[tuple[str, str], int] = {}
        self.stacks: dict[str, StackState] = {}

    def provision(self, stacks: Iterable[Stack]) -> dict[str, dict[str, str]]:
        """Bring the stacks to their templates, in the given order; raises ProvisionError.

        Returns for each stack what was done to which resource: `created`, `updated`, `replaced`, `deleted`,
        `retained` or `not deleted: <reason>`. A resource that is not named was not touched.
        """
        done = {}
        for stack in stacks:
            self._progress(stack.name)
            publish(self._cloud, stack)
            done[stack.name] = self._stack(stack)
        return done

    def _exports(self) -> dict[str, Any]:
        return {name: value for state in self.stacks.values() for name, value in state.exports.items()}

    def _look_up(self, name: str) -> str | None:
        found = self._cloud.client("ssm").get_parameters(Names=[name])["Parameters"]
        return found[0]["Value"] if found else None

    def _stack(self, stack: Stack) -> dict[str, str]:
        imports = _Imports(self._exports())
        scope = Scope(stack.name, self._cloud.region, self._cloud.account, exports=imports)
        try:
            template = parse(stack.template, scope, stack.parameters, self._look_up)
        except TemplateError as error:
            raise ProvisionError(f"{stack.name}: {error}") from error
        for item in template.resources:
            _understood(stack.name, item)
        before, source = self.stacks.get(stack.name, StackState()), _source(stack, template)
        if before.source == source:
            return {}
        events = StackEvents(self._cloud, scope.pseudo("AWS::StackId"), creation=stack.name not in self.stacks)
        events.begun()
        change = Change(self, stack.name, template, before, events)
        after = change.run()
        after.source, after.imports = source, imports.used
        self._check_exports(stack.name, before, after, change)
        self.stacks[stack.name] = after
        events.cleaning_up()
        change.clean_up()
        events.complete()
        return change.done

    def _check_exports(self, stack: str, before: StackState, after: StackState, change: Change) -> None:
        """An export that another stack imports may neither change nor go."""
        for name, value in before.exports.items():
            users = [other for other, state in self.stacks.items() if other != stack and name in state.imports]
            if users and after.exports.get(name) != value:
                what = "updated" if name in after.exports else "deleted"
                reason = f"Export {name} cannot be {what} as it is in use by {', '.join(users)}"
                change.roll_back(reason)
                raise ProvisionError(f"{stack}: {reason}")

    def place(self, stack: str, logical_id: str, *, fresh: bool) -> Place:
        """Where a handler works; `fresh` gives the resource a physical name it has not had yet."""
        key = (stack, logical_id)
        if fresh:
            self._generations[key] = self._generations.get(key, -1) + 1
        return Place(self._cloud, stack, logical_id, self._generations.get(key, 0))

    def report(self, stack: str, logical_id: str) -> None:
        """Tell whoever watches which resource is being worked on."""
        self._progress(f"{stack}/{logical_id}")


class _Imports(dict[str, Any]):
    """Exports that remember which of them were imported."""

    def __init__(self, exports: dict[str, Any]) -> None:
        super().__init__(exports)
        self.used: set[str] = set()

    def __getitem__(self, name: str) -> Any:
        self.used.add(name)
        return super().__getitem__(name)


def _source(stack: Stack, template: Template) -> str:
    """What an update is decided by: without a change of template or parameters, CloudFormation does nothing."""
    return json.dumps([stack.template, template.scope.parameters], sort_keys=True)


def _understood(stack: str, item: Declared) -> None:
    """Refuse an unknown type or property before anything is made."""
    if item.type not in REGISTRY:
        raise ProvisionError(f"{stack}/{item.logical_id}: type {item.type} is not understood by the local cloud")
    strange = sorted(set(item.properties) - REGISTRY[item.type].properties)
    if strange:
        where = f"{stack}/{item.logical_id} ({item.type})"
        raise ProvisionError(f"{where}: property {', '.join(strange)} is not understood by the local cloud")


class Change:
    """One stack on its way from a template to the next: remembers how to go back."""

    def __init__(
        self, provisioner: Provisioner, stack: str, template: Template, before: StackState, events: StackEvents
    ) -> None:
        self._provisioner = provisioner
        self._events = events
        self._stack = stack
        self._template = template
        self._before = before
        self._now: dict[str, Deployed] = {}
        self._undo: list[Callable[[], None]] = []
        self._replaced: list[Deployed] = []
        self.done: dict[str, str] = {}

    def run(self) -> StackState:
        """Create and update; on failure roll back and raise ProvisionError."""
        scope = self._template.scope
        scope.resources = Known(self._stack, self._now)
        items = {item.logical_id: item for item in self._template.resources}

        def bring(name: str) -> None:
            self._provisioner.report(self._stack, name)
            with self._told(f"{name} ({items[name].type})"):
                self._bring(items[name], resolve(dict(items[name].properties), scope))

        try:
            in_order({name: sorted(item.needs) for name, item in items.items()}, bring, at_once=AT_ONCE)
            # whatever was ready first: as the template has it
            self._now = {name: self._now[name] for name in items}
            with self._told("Outputs"):
                return self._state(scope)
        except BaseException as error:
            self.roll_back(str(error))
            raise

    @contextmanager
    def _told(self, where: str) -> Iterator[None]:
        """Whatever may be wrong with a template or a resource as a ProvisionError that says where."""
        try:
            yield
        except EXPECTED as error:
            reason = f"property {error} is missing" if isinstance(error, KeyError) else str(error)
            raise ProvisionError(f"{self._stack}/{where}: {reason}") from error

    def _state(self, scope: Scope) -> StackState:
        outputs = {name: resolve(item["Value"], scope) for name, item in self._template.outputs.items()}
        exports = {
            text_of(resolve(item["Export"]["Name"], scope)): outputs[name]
            for name, item in self._template.outputs.items()
            if "Export" in item
        }
        return StackState(resources=self._now, outputs=outputs, exports=exports)

    def _bring(self, item: Declared, props: Properties) -> None:
        old = self._before.resources.get(item.logical_id)
        if old is None:
            self._create(item, props)
            self.done[item.logical_id] = "created"
        elif old.declared.type != item.type:
            raise ResourceError(f"the type of a resource cannot change (it was {old.declared.type})")
        elif old.properties == props:
            self._now[item.logical_id] = Deployed(item, props, old.made, old.place)
        elif old.handler.needs_replacement(props, old.properties):
            self._replace(item, props, old)
        else:
            self._update(item, props, old)

    def _create(self, item: Declared, props: Properties) -> None:
        place = self._provisioner.place(self._stack, item.logical_id, fresh=True)
        made = REGISTRY[item.type].create(place, props)
        deployed = Deployed(item, props, made, place)
        self._now[item.logical_id] = deployed
        self._undo.append(lambda: self._undo_create(deployed))

    def _undo_create(self, deployed: Deployed) -> None:
        # RetainExceptOnCreate is for exactly this; plain Retain keeps even what a failed creation leaves
        if deployed.declared.on_delete != "Retain":
            deployed.handler.delete(deployed.place, deployed.made, deployed.properties)

    def _replace(self, item: Declared, props: Properties, old: Deployed) -> None:
        named_by = old.handler.named_by
        if named_by and named_by in props and props[named_by] == old.properties.get(named_by):
            raise ResourceError(
                f"CloudFormation cannot update a stack when a custom-named resource requires replacing. "
                f"Rename {props[named_by]} and update the stack again."
            )
        self._create(item, props)
        self._replaced.append(old)
        self.done[item.logical_id] = "replaced"

    def _update(self, item: Declared, props: Properties, old: Deployed) -> None:
        # noted before the attempt: a half-done update is put back as well
        undo = partial(self._undo_update, old, props)
        self._undo.append(undo)
        try:
            made = old.handler.update(old.place, old.made, props, old.properties)
        except UnchangeableError:
            self._undo.remove(undo)
            raise
        self._now[item.logical_id] = Deployed(item, props, made, old.place)
        self.done[item.logical_id] = "updated"

    @staticmethod
    def _undo_update(old: Deployed, props: Properties) -> None:
        old.handler.update(old.place, old.made, old.properties, props)

    def roll_back(self, reason: str) -> None:
        """Undo what was done, last first; what cannot be undone is logged and left."""
        self._events.rolling_back(reason)
        while self._undo:
            undo = self._undo.pop()
            try:
                undo()
            except EXPECTED:
                log.exception("%s: rollback of a resource failed", self._stack)
        self._events.rolled_back()

    def clean_up(self) -> None:
        """Delete what was replaced and what the template no longer has, dependants first."""
        gone = [item for name, item in self._before.resources.items() if name not in self._now]
        position = {id(item): index for index, item in enumerate(self._before.resources.values())}
        for item in sorted([*gone, *self._replaced], key=lambda item: -position[id(item)]):
            name, replaced = item.declared.logical_id, item in self._replaced
            keep = (item.declared.on_replace if replaced else item.declared.on_delete) != "Delete"
            outcome = "retained" if keep else self._delete(item)
            if not replaced or outcome != "deleted":
                self.done[name] = f"replaced, the old one {outcome}" if replaced else outcome

    def _delete(self, item: Deployed) -> str:
        """CloudFormation finishes an update even if what it leaves behind cannot be deleted."""
        self._provisioner.report(self._stack, item.declared.logical_id)
        try:
            item.handler.delete(item.place, item.made, item.properties)
        except EXPECTED as error:
            log.warning("%s/%s could not be deleted: %s", self._stack, item.declared.logical_id, error)
            return f"not deleted: {error}"
        return "deleted"
