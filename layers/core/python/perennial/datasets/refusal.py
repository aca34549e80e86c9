"""Why a whole file is refused."""

from __future__ import annotations

from perennial.errors import FileRefused


class Refusal(FileRefused):
    """A file that goes to quarantine whole: `rule` in one word, `message` for a person, `columns` at fault if any.

    Rules: kind (is not what its name says), empty, encoding, truncated, unreadable, columns, tooLarge, noGoodRows,
    rowCount, nullValues, missingValues, invalidValues, duplicateValues, datasetUnknown, modelUnknown.
    """

    def __init__(self, rule: str, message: str, columns: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.rule = rule
        self.message = message
        self.columns = columns
