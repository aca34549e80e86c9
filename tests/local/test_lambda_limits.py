"""What Lambda does not allow: too long, too much memory, too large, too many at once, too slow to start."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest
from botocore.exceptions import ClientError

from infra.local.context import Cloud
from infra.local.lambdas import images, invocations
from infra.local.lambdas.logs import LONGEST, _batches, _parts
from infra.local.lambdas.pipes import Pipe
from tests.local.small_functions import create, invoke, log_lines, settled, until

ECHO = "def handle(event, context):\n    return event\n"
PID = "import os\ndef handle(event, context):\n    return os.getpid()\n"


class TestTime:
    def test_a_timeout_ends_the_environment_and_the_call(self, cloud: Cloud) -> None:
        body = (
            "import os, time\ndef handle(event, context):\n    print(os.getpid(), flush=True)\n    time.sleep(event)\n"
        )
        name = create(cloud, body, Timeout=1)
        begun = time.monotonic()
        reply, failure = invoke(cloud, name, 30)
        assert time.monotonic() - begun < 25  # the function would have taken 30
        assert (reply["StatusCode"], reply["FunctionError"]) == (200, "Unhandled")
        assert failure["errorType"] == "Sandbox.Timedout"
        assert failure["errorMessage"].endswith("Error: Task timed out after 1.00 seconds")
        lines = log_lines(cloud, f"/aws/lambda/{name}", "REPORT")
        assert any("Task timed out after 1.00 seconds" in line for line in lines)
        assert "Status: timeout" in lines[-1]
        assert not psutil.pid_exists(int(next(line for line in lines if line.isdigit())))
        # the next call gets a fresh environment
        assert "FunctionError" not in invoke(cloud, name, 0)[0]

    def test_an_initialisation_that_fails_is_repeated_within_the_invocation(self, cloud: Cloud, tmp_path: Path) -> None:
        mark = tmp_path / "mark"
        body = (
            f"import pathlib\nmark = pathlib.Path({str(mark)!r})\n"
            "if not mark.exists():\n    mark.touch()\n    raise RuntimeError\n"
            "def handle(event, context):\n    return 'second time'\n"
        )
        name = create(cloud, body)
        assert invoke(cloud, name)[1] == "second time"
        lines = log_lines(cloud, f"/aws/lambda/{name}", "REPORT RequestId")
        assert any(line.startswith("INIT_REPORT") and "Status: error" in line for line in lines)

    def test_a_slow_initialisation_gets_the_functions_time_after_its_own(
        self, cloud: Cloud, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(invocations, "INIT_LIMIT", 0.5)
        name = create(cloud, "import time\ntime.sleep(1.2)\n" + ECHO, Timeout=10)
        reply, answer = invoke(cloud, name, 3)
        assert answer == 3
        assert "FunctionError" not in reply
        lines = log_lines(cloud, f"/aws/lambda/{name}", "REPORT RequestId")
        assert any(line.startswith("INIT_REPORT") and "Status: timeout" in line for line in lines)

    def test_an_initialisation_slower_than_the_function_times_out(
        self, cloud: Cloud, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(invocations, "INIT_LIMIT", 0.3)
        name = create(cloud, "import time\ntime.sleep(20)\n" + ECHO, Timeout=1)
        assert invoke(cloud, name)[1]["errorType"] == "Sandbox.Timedout"

    @pytest.mark.parametrize(
        ("body", "members", "kind"),
        [
            ("import nothing_like_it\n", {}, "Runtime.ImportModuleError"),
            ("def handle(event, context)\n", {}, "Runtime.UserCodeSyntaxError"),
            (ECHO, {"Handler": "module.other"}, "Runtime.HandlerNotFound"),
            ("raise KeyError('TABLE')\n", {}, "KeyError"),
            ("import sys\nsys.exit(3)\n", {}, "Runtime.ExitError"),
        ],
    )
    def test_errors_of_initialisation_are_named(
        self, cloud: Cloud, body: str, members: dict[str, Any], kind: str
    ) -> None:
        name = create(cloud, body, **members)
        reply, failure = invoke(cloud, name)
        assert reply["FunctionError"] == "Unhandled"
        assert failure["errorType"] == kind


class TestMemory:
    def test_more_memory_than_the_template_gives_ends_the_environment(self, cloud: Cloud) -> None:
        body = (
            "import time\ndef handle(event, context):\n    held = bytearray(event * 1024 * 1024)\n"
            "    held[::4096] = b'x' * len(held[::4096])\n    time.sleep(0.5)\n    return 'ok'\n"
        )
        name = create(cloud, body, MemorySize=128)
        reply, failure = invoke(cloud, name, 300)
        assert reply["FunctionError"] == "Unhandled"
        assert failure["errorType"] == "Runtime.ExitError"
        assert failure["errorMessage"].endswith("Error: Runtime exited with error: signal: killed")
        lines = log_lines(cloud, f"/aws/lambda/{name}", "REPORT")
        assert "Max Memory Used: 128 MB" in lines[-1]
        assert "Error Type: Runtime.OutOfMemory" in lines[-1]
        assert invoke(cloud, name, 10)[1] == "ok"

    @pytest.mark.parametrize(
        ("body", "ending"),
        [
            ("import os\ndef handle(event, context):\n    os._exit(7)\n", "exit status 7"),
            ("import sys\ndef handle(event, context):\n    sys.exit(0)\n", "exited without providing a reason"),
            ("import os\ndef handle(event, context):\n    os.kill(os.getpid(), 11)\n", "signal: 11"),
        ],
    )
    def test_a_process_that_ends_by_itself_is_a_runtime_exit(self, cloud: Cloud, body: str, ending: str) -> None:
        name = create(cloud, body)
        _, failure = invoke(cloud, name)
        assert failure["errorType"] == "Runtime.ExitError"
        assert ending in failure["errorMessage"]


class TestSize:
    def test_a_request_over_six_megabytes_is_refused(self, cloud: Cloud) -> None:
        name = create(cloud, "def handle(event, context):\n    return len(event)\n", MemorySize=512)
        limit = 6 * 1024 * 1024
        assert invoke(cloud, name, "x" * (limit - 2))[1] == limit - 2
        with pytest.raises(ClientError) as caught:
            invoke(cloud, name, "x" * (limit - 1))
        assert caught.value.response["Error"]["Code"] == "RequestTooLargeException"
        assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 413

    def test_an_event_over_one_megabyte_is_refused(self, cloud: Cloud) -> None:
        name = create(cloud, ECHO)
        payload = json.dumps("x" * (1024 * 1024 - 1)).encode()
        with pytest.raises(ClientError) as caught:
            cloud.client("lambda").invoke(FunctionName=name, InvocationType="Event", Payload=payload)
        assert caught.value.response["Error"]["Code"] == "RequestTooLargeException"

    def test_an_answer_over_six_megabytes_is_an_error(self, cloud: Cloud) -> None:
        name = create(cloud, "def handle(event, context):\n    return 'x' * event\n", MemorySize=512)
        limit = 6 * 1024 * 1024 + 100
        assert len(invoke(cloud, name, limit - 2)[1]) == limit - 2
        reply, failure = invoke(cloud, name, limit)
        assert reply["FunctionError"] == "Unhandled"
        assert failure["errorType"] == "Function.ResponseSizeTooLarge"
        assert failure["errorMessage"] == (
            f"Response payload size ({limit + 2} bytes) exceeded maximum allowed payload size ({limit} bytes)."
        )
        assert invoke(cloud, name, 1)[1] == "x"


class TestConcurrency:
    SLOW = "import os, time\ndef handle(event, context):\n    time.sleep(event)\n    return os.getpid()\n"

    def test_requests_beyond_the_reserved_concurrency_are_refused(self, cloud: Cloud) -> None:
        client = cloud.client("lambda")
        name = create(cloud, self.SLOW)
        client.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=1)
        assert client.get_function(FunctionName=name)["Concurrency"] == {"ReservedConcurrentExecutions": 1}
        with ThreadPoolExecutor(1) as threads:
            first = threads.submit(invoke, cloud, name, 1.5)
            time.sleep(0.5)
            with pytest.raises(ClientError) as caught:
                invoke(cloud, name, 0)
            response = caught.value.response
            assert response["Error"]["Code"] == "TooManyRequestsException"
            assert response["ResponseMetadata"]["HTTPStatusCode"] == 429
            assert response.get("Reason") == "ReservedFunctionConcurrentInvocationLimitExceeded"
            assert "FunctionError" not in first.result()[0]
        client.delete_function_concurrency(FunctionName=name)
        assert client.get_function_concurrency(FunctionName=name).get("ReservedConcurrentExecutions") is None

    def test_a_function_switched_off_runs_nothing(self, cloud: Cloud) -> None:
        name = create(cloud, ECHO)
        cloud.client("lambda").put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)
        with pytest.raises(ClientError) as caught:
            invoke(cloud, name)
        assert caught.value.response["Error"]["Code"] == "TooManyRequestsException"

    def test_a_hundred_of_the_accounts_concurrency_stays_unreserved(self, cloud: Cloud) -> None:
        name = create(cloud, ECHO)
        with pytest.raises(ClientError) as caught:
            cloud.client("lambda").put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=950)
        assert caught.value.response["Error"]["Code"] == "InvalidParameterValueException"

    def test_requests_beyond_what_the_machine_runs_at_once_wait(self, cloud: Cloud) -> None:
        name = create(cloud, self.SLOW)
        with ThreadPoolExecutor(12) as threads:
            processes = list(threads.map(lambda _: invoke(cloud, name, 0.2)[1], range(12)))
        assert len(set(processes)) <= 8

    def test_an_update_ends_the_environments_of_the_former_code(self, cloud: Cloud) -> None:
        name = create(cloud, PID)
        _, process = invoke(cloud, name)
        cloud.client("lambda").update_function_configuration(FunctionName=name, Timeout=12)
        settled(cloud, name)
        assert invoke(cloud, name)[1] != process
        until(lambda: not psutil.pid_exists(process))

    def test_a_deleted_function_leaves_no_process(self, cloud: Cloud) -> None:
        name = create(cloud, PID)
        _, process = invoke(cloud, name)
        cloud.client("lambda").delete_function(FunctionName=name)
        until(lambda: not psutil.pid_exists(process))


class TestThroughput:
    def test_no_line_of_hundreds_of_requests_is_lost(self, cloud: Cloud) -> None:
        name = create(cloud, "def handle(event, context):\n    print('RECORD', event)\n")
        invoke(cloud, name, -1)
        for number in range(300):
            invoke(cloud, name, number)
        wanted = {f"RECORD {number}" for number in range(300)}
        until(lambda: wanted <= set(log_lines(cloud, f"/aws/lambda/{name}", "RECORD 299")))


class TestLogBatches:
    """The quotas of PutLogEvents."""

    def test_no_batch_exceeds_its_bytes(self) -> None:
        events = [(0, "x" * 300_000) for _ in range(10)]
        assert [len(batch) for batch in _batches(events)] == [3, 3, 3, 1]

    def test_no_batch_exceeds_ten_thousand_events(self) -> None:
        assert [len(batch) for batch in _batches([(0, "x")] * 10_001)] == [10_000, 1]

    def test_no_batch_spans_more_than_a_day(self) -> None:
        day = 24 * 3600 * 1000
        assert [len(batch) for batch in _batches([(0, "a"), (day, "b"), (day + 1, "c")])] == [2, 1]

    def test_a_message_longer_than_an_event_is_cut(self) -> None:
        parts = list(_parts("x" * (LONGEST + 5)))
        assert [len(part) for part in parts] == [LONGEST, 5]
        assert list(_parts("")) == []


class TestPipes:
    @pytest.fixture
    def lines(self) -> Iterator[tuple[Pipe, list[str]]]:
        read: list[str] = []
        pipe = Pipe(read.append)
        yield pipe, read
        pipe.close()

    def test_a_line_may_arrive_in_pieces(self, lines: tuple[Pipe, list[str]]) -> None:
        import os

        pipe, read = lines
        for piece in (b"on", b"e\ntwo\nth", b"ree"):
            os.write(pipe.writer, piece)
            pipe.drain()
        assert read == ["one\n", "two\n"]
        pipe.written()
        pipe.close()
        assert read == ["one\n", "two\n", "three"]

    def test_frames_keep_their_line_breaks(self) -> None:
        import os

        read: list[str] = []
        pipe = Pipe(read.append, framed=True)
        message = b"first\nsecond\n"
        frame = b"\xa5\x5a\x00\x03" + len(message).to_bytes(4, "big") + bytes(8) + message
        os.write(pipe.writer, frame + frame[:20])
        pipe.drain()
        os.write(pipe.writer, frame[20:])
        pipe.drain()
        assert read == ["first\nsecond\n", "first\nsecond\n"]
        pipe.written()
        pipe.close()


def test_instructions_of_a_dockerfile_are_joined_and_comments_dropped() -> None:
    text = '# a\nFROM x\nENV A=1 \\\n    # inside\n    B=2\n\nCMD ["a"]\n'
    assert list(images.instructions(text)) == [("FROM", "x"), ("ENV", "A=1  B=2"), ("CMD", '["a"]')]


def test_many_threads_may_use_one_client(cloud: Cloud) -> None:
    name = create(cloud, ECHO)
    failures: list[Exception] = []

    def work(number: int) -> None:
        try:
            assert invoke(cloud, name, number)[1] == number
        except Exception as error:  # noqa: BLE001 - reported below
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
