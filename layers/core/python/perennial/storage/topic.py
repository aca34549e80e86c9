"""SNS: the topic that people listen to."""

from __future__ import annotations

from dataclasses import dataclass

from perennial.storage.translate import client, translated

SUBJECT_CHARACTERS = 100


@dataclass(frozen=True)
class Topic:
    """The topic with this ARN; delivery is at least once."""

    arn: str

    def publish(self, subject: str, text: str) -> None:
        """Tell everybody who listens. A subject is one line of at most 100 characters of ASCII; more is cut."""
        with translated(f"publish to {self.arn}"):
            client("sns").publish(TopicArn=self.arn, Subject=subject[:SUBJECT_CHARACTERS], Message=text)
