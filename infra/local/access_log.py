"""Access logs of an HTTP API's stage: one line per request, in the stage's own format, in its log group.

Source: https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-logging-variables.html
"""

from __future__ import annotations

import logging
import re
import threading
import uuid
from collections.abc import Mapping

from botocore.exceptions import BotoCoreError, ClientError

from infra.local.agenda import Agenda
from infra.local.context import Cloud

log = logging.getLogger(__name__)

# lines wait this long (seconds) to be written together: a call to the log per request would halve the API's speed
GATHERED = 1.0
_VARIABLE = re.compile(r"\$context\.([A-Za-z][A-Za-z0-9_.]*)")


def line(template: str, facts: Mapping[str, str]) -> str:
    """The template with each `$context.<name>` replaced; what is not known is a dash."""
    return _VARIABLE.sub(lambda found: facts.get(found[1].rstrip("."), "-") or "-", template)


class AccessLog:
    """Writes lines to log groups, some at a time."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._agenda = Agenda(cloud.clock, "access-log")
        self._waiting: dict[str, list[tuple[int, str]]] = {}
        self._streams: dict[str, str] = {}
        self._lock = threading.Lock()

    def write(self, settings: Mapping[str, str] | None, facts: Mapping[str, str]) -> None:
        """Note a request by the stage's AccessLogSettings (None: it keeps no log)."""
        if not settings or not settings.get("destinationArn") or not settings.get("format"):
            return
        group = settings["destinationArn"].split(":log-group:")[-1].removesuffix(":*")
        now = self._cloud.clock.time()
        with self._lock:
            waiting = self._waiting.setdefault(group, [])
            waiting.append((int(now * 1000), line(settings["format"], facts)))
            first = len(waiting) == 1
        if first:
            self._agenda.at(now + GATHERED, lambda: self._flush(group))

    def stop(self) -> None:
        """Write what waits, and end."""
        self._agenda.stop()
        for group in list(self._waiting):
            self._flush(group)

    def _flush(self, group: str) -> None:
        with self._lock:
            lines = sorted(self._waiting.pop(group, []))
        client = self._cloud.client("logs")
        try:
            if group not in self._streams:
                self._streams[group] = str(uuid.uuid4())
                client.create_log_stream(logGroupName=group, logStreamName=self._streams[group])
            events = [{"timestamp": moment, "message": text} for moment, text in lines]
            for start in range(0, len(events), 1000):
                part = events[start : start + 1000]
                client.put_log_events(logGroupName=group, logStreamName=self._streams[group], logEvents=part)
        except (ClientError, BotoCoreError) as error:
            self._streams.pop(group, None)
            log.warning("access log %s: %d lines lost: %s", group, len(lines), error)
