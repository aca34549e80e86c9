"""Run by test_workflows in a process of its own: a cloud that is stopped while everything is busy.

Prints one JSON object: how long stopping took, which threads are left, which processes.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
from botocore.exceptions import BotoCoreError, ClientError

from infra.local.cloud import LocalCloud
from infra.local.context import Cloud, ImageSource
from tests.local.principals import standing_roles
from tests.local.small_functions import create, until

ROLE = "arn:aws:iam::123456789012:role/states"
SLEEPER = "import time\nopen({mark!r}, 'w').close()\ntime.sleep(600)\n"


def begin(cloud: Cloud, folder: Path) -> None:
    """A function that is called by an execution, an execution that waits, a task."""
    mark = str(folder / "lambda")
    body = f"import time\ndef handle(event, context):\n    open({mark!r}, 'w').close()\n    time.sleep(600)\n"
    name = create(cloud, body, Timeout=700)
    call: dict[str, Any] = {"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke", "End": True}
    call["Parameters"] = {"FunctionName": name}
    states = {"Call": call, "Wait": {"Type": "Wait", "Seconds": 600, "End": True}}
    for state, definition in states.items():
        client = cloud.client("stepfunctions")
        text = json.dumps({"StartAt": state, "States": {state: definition}})
        machine = client.create_state_machine(name=state, definition=text, roleArn=ROLE)["stateMachineArn"]
        client.start_execution(stateMachineArn=machine)
    (folder / "work.py").write_text(SLEEPER.format(mark=str(folder / "task")))
    (folder / "Dockerfile").write_text('FROM x\nWORKDIR /app\nCOPY work.py .\nCMD ["python", "work.py"]\n')
    cloud.images["work:1"] = ImageSource(folder)
    ecs = cloud.client("ecs")
    ecs.create_cluster(clusterName="c")
    ecs.register_task_definition(
        family="work", containerDefinitions=[{"name": "work", "image": "work:1", "memory": 512}]
    )
    ecs.run_task(cluster="c", taskDefinition="work", launchType="FARGATE")


def call(cloud: Cloud, name: str) -> None:
    """A caller who will get no answer."""
    try:
        cloud.client("lambda").invoke(FunctionName=name)
    except (BotoCoreError, ClientError):
        return


def main(folder: Path) -> None:
    """Start, keep busy, stop, look around."""
    context = folder / "context"
    context.mkdir()
    with ThreadPoolExecutor(1) as threads:
        with LocalCloud(folder / "cloud") as local:
            standing_roles(local.cloud)
            begin(local.cloud, context)
            threads.submit(
                call, local.cloud, local.cloud.client("lambda").list_functions()["Functions"][0]["FunctionName"]
            )
            until(lambda: (context / "lambda").exists() and (context / "task").exists(), 30)
            begun = time.monotonic()
        seconds = time.monotonic() - begun
    time.sleep(0.5)
    left = [thread.name for thread in threading.enumerate() if thread is not threading.main_thread()]
    processes = [child.cmdline() for child in psutil.Process().children(recursive=True)]
    sys.stdout.write(json.dumps({"seconds": seconds, "threads": left, "processes": processes}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
