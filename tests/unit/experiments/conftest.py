"""The services of tests/unit/serving."""

from __future__ import annotations

from tests.unit.serving.conftest import regression

__all__ = ["regression"]
