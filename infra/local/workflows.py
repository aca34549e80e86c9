"""Step Functions of the local cloud: moto's interpreter, with AWS's semantics where it has its own.

`patch` puts the interpreter on a cloud; what it returns stops the executions and takes everything back.
Source: https://docs.aws.amazon.com/step-functions/latest/dg/welcome.html
"""

from __future__ import annotations

import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import boto3
from botocore.config import Config
from moto.core.exceptions import AWSError
from moto.stepfunctions.exceptions import ValidationException
from moto.stepfunctions.parser import api, quotas
from moto.stepfunctions.parser.api import ExecutionStatus, InvalidDefinition, StateMachineAlreadyExists
from moto.stepfunctions.parser.asl.eval.environment import Environment
from moto.stepfunctions.parser.asl.eval.program_state import ProgramStopped, ProgramTimedOut
from moto.stepfunctions.parser.asl.utils import boto_client
from moto.stepfunctions.parser.backend.execution import Execution
from moto.stepfunctions.parser.backend.execution_worker import ExecutionWorker
from moto.stepfunctions.parser.models import StepFunctionsParserBackend, stepfunctions_parser_backends
from moto.stepfunctions.parser.utils import TMP_THREADS
from werkzeug import Request, Response

from infra.local import workflow_errors, workflow_maps, workflow_replies, workflow_tasks
from infra.local.context import Cloud, Principal
from infra.local.iam import principals
from infra.local.patches import Patches
from infra.local.workflow_definitions import problems
from infra.local.workflow_roles import Roles
from infra.local.workflow_time import Timekeeper, interrupt

INPUT_LIMIT = 262_144  # characters of StartExecution's input
LAST_MOMENT = 2.0  # seconds that executions get to notice that the cloud stops
INTERPRETER = "moto.stepfunctions"


def patch(cloud: Cloud) -> Workflows:
    """Put the interpreter on this cloud."""
    return Workflows(cloud)


class Workflows:
    """The patches of one cloud, as a service that answers nothing itself."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._patches = Patches()
        self._stopping = threading.Event()
        self._starting = threading.RLock()
        self._clients: dict[tuple[str, str, str], Any] = {}
        self._principals: dict[str, Principal] = {}
        self._lock = threading.Lock()
        Timekeeper(cloud.clock, self._stopping).apply(self._patches)
        workflow_tasks.apply(self._patches)
        workflow_errors.apply(self._patches)
        workflow_maps.apply(self._patches, Roles(cloud).may_start)
        workflow_replies.apply(self._patches, cloud.clock)
        self._everywhere(boto_client.boto_client_for, self.client)
        self._everywhere(quotas.is_within_size_quota, workflow_tasks.within_quota)
        self._error_names()
        self._backend()
        self._endings()

    def handle(self, request: Request) -> Response | None:
        """Nothing: the interpreter lives in moto."""
        del request
        return None

    def stop(self) -> None:
        """Abort what runs, wait for its threads, take the patches back."""
        self._stopping.set()
        running = [execution for execution in _executions() if execution.exec_status == ExecutionStatus.RUNNING]
        for execution in running:
            execution.stop(self._cloud.clock.now(), None, "the local cloud stops")
        deadline = time.monotonic() + LAST_MOMENT
        for thread in TMP_THREADS:
            thread.join(max(0.0, deadline - time.monotonic()))
        _forget_finished_threads()
        self._patches.undo()

    def _everywhere(self, original: Any, replacement: Any) -> None:
        """Replace a function in every module of the interpreter that has imported it by name."""
        for name, module in list(sys.modules.items()):
            if name.startswith(INTERPRETER):
                for attribute, value in list(vars(module).items()):
                    if value is original:
                        self._patches.replace(module, attribute, replacement)

    def client(self, region: str, service: str, state_credentials: Any = None) -> Any:
        """A client that signs as the machine's role. Clients are kept: making one costs some 20 ms."""
        role = getattr(state_credentials, "role_arn", None) or f"arn:aws:iam::{self._cloud.account}:role/states"
        with self._lock:
            key = (region, service, role)
            if key not in self._clients:
                self._clients[key] = self._client(region, service, role)
            return self._clients[key]

    def _client(self, region: str, service: str, role: str) -> Any:
        if role not in self._principals:
            self._principals[role] = self._cloud.credentials.issue(principals.session_arn(role, "states"))
        principal = self._principals[role]
        session: Any = boto3.session.Session(
            aws_access_key_id=principal.access_key, aws_secret_access_key=principal.secret_key, region_name=region
        )
        # a Lambda function may run for fifteen minutes; retries are the state machine's business
        config = Config(
            retries={"total_max_attempts": 1}, read_timeout=1000, max_pool_connections=64, parameter_validation=False
        )
        return session.client(service, endpoint_url=self._cloud.endpoint, config=config)

    def _error_names(self) -> None:
        """The interpreter's errors name themselves in `code`, moto's replies read `TYPE`."""
        for kind in vars(api).values():
            name = vars(kind).get("code") if isinstance(kind, type) and issubclass(kind, AWSError) else None
            if isinstance(name, str):
                self._patches.replace(kind, "TYPE", name)

    def _backend(self) -> None:
        own = StepFunctionsParserBackend
        # a test may have other accounts in this process, which are none of this cloud
        account = self._cloud.account
        patches, starting, roles = self._patches, self._starting, Roles(self._cloud)
        start, create, update = own.start_execution, own.create_state_machine, own.update_state_machine

        def start_execution(
            self: Any, state_machine_arn: str, name: str | None = None, execution_input: str | None = None, *rest: Any
        ) -> Any:
            _check_start(name, execution_input)
            _forget_finished_threads()
            with starting:
                return start(self, state_machine_arn, name or str(uuid.uuid4()), execution_input or "{}", *rest)

        def create_state_machine(self: Any, name: str, definition: str, roleArn: str, **rest: Any) -> Any:  # noqa: N803 - moto's name
            _check_definition(definition)
            if self.account_id == account:
                roles.check(roleArn, definition, rest.get("loggingConfiguration"))
            with starting:
                machine = create(self, name=name, definition=definition, roleArn=roleArn, **rest)
                if machine.definition != definition:
                    raise StateMachineAlreadyExists(f"State Machine Already Exists: '{machine.arn}'")
                return machine

        def update_state_machine(
            self: Any,
            arn: str,
            definition: str | None = None,
            role_arn: str | None = None,
            logging_configuration: Any = None,
            *rest: Any,
            **more: Any,
        ) -> Any:
            if definition is not None:
                _check_definition(definition)
            machine = self.describe_state_machine(arn)
            logging = logging_configuration or machine.loggingConfiguration
            if self.account_id == account:
                roles.check(role_arn or machine.roleArn, definition or machine.definition, logging)
            return update(self, arn, definition, role_arn, logging_configuration, *rest, **more)

        patches.replace(own, "start_execution", start_execution)
        patches.replace(own, "create_state_machine", create_state_machine)
        patches.replace(own, "update_state_machine", update_state_machine)

    def _endings(self) -> None:
        """A stopped execution is ABORTED at once and stays so, whatever its threads still find out."""
        set_error = Environment.set_error
        stop = Execution.stop

        def keep_stopped(env: Environment, error: Any) -> None:
            if not isinstance(env._program_state, ProgramStopped | ProgramTimedOut):
                set_error(env, error)

        def stop_now(execution: Any, stop_date: Any, error: str | None, cause: str | None) -> None:
            if execution.exec_status != ExecutionStatus.RUNNING:
                return
            stop(execution, stop_date=stop_date, error=error, cause=cause)
            execution.exec_status = ExecutionStatus.ABORTED
            execution.stop_date = stop_date
            execution.error, execution.cause = error or None, cause or None
            interrupt(execution.exec_worker.env)

        self._patches.replace(Environment, "set_error", keep_stopped)
        self._patches.replace(Execution, "stop", stop_now)
        self._patches.replace(ExecutionWorker, "stop", _begun(ExecutionWorker.stop))


def _begun(original: Callable[..., None]) -> Callable[..., None]:
    """Stopping an execution that has just been started waits until there is something to stop."""

    def stop(worker: ExecutionWorker, **arguments: Any) -> None:
        deadline = time.monotonic() + 1.0
        while (worker.env is None or worker.env._program_state is None) and time.monotonic() < deadline:
            time.sleep(0.01)
        if worker.env is not None:
            original(worker, **arguments)

    return stop


def _check_definition(definition: str) -> None:
    found = problems(definition)
    if found:
        raise InvalidDefinition(f"Invalid State Machine Definition: '{', '.join(found)}'")


def _check_start(name: str | None, execution_input: str | None) -> None:
    if execution_input and len(execution_input) > INPUT_LIMIT:
        raise ValidationException(
            "1 validation error detected: Value at 'input' failed to satisfy constraint: "
            f"Member must have length less than or equal to {INPUT_LIMIT}"
        )
    if name is not None and not 1 <= len(name) <= 80:
        raise ValidationException(
            f"1 validation error detected: Value '{name}' at 'name' failed to satisfy constraint: "
            "Member must have length between 1 and 80"
        )


def _executions() -> Iterator[Any]:
    for regions in list(stepfunctions_parser_backends.values()):
        for backend in list(regions.values()):
            for machine in list(backend.state_machines):
                yield from list(machine.executions)


def _forget_finished_threads() -> None:
    TMP_THREADS[:] = [thread for thread in TMP_THREADS if thread.is_alive()]
