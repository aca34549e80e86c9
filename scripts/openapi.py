"""`python -m scripts.openapi` writes docs/openapi.json: the API as it is before any model serves."""

from __future__ import annotations

import json
from pathlib import Path

from perennial.openapi import document

PATH = Path(__file__).parents[1] / "docs" / "openapi.json"


def text() -> str:
    """What the file holds."""
    return json.dumps(document(), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    PATH.write_text(text(), encoding="utf-8")
