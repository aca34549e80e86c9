"""Numbers and names as people read them. Every number that the report shows is one of monitor.json, formatted here."""

from __future__ import annotations

from typing import Any

from perennial.monitoring.names import CONFIDENCE, SCORE

NOTHING = "–"


def value(found: float | None) -> str:
    """A metric or an amount."""
    if found is None:
        return NOTHING
    return f"{found:,.0f}" if abs(found) >= 10_000 else f"{found:.4g}" if abs(found) >= 1 else f"{found:.3f}"


def count(found: int | None) -> str:
    """A number of things."""
    return NOTHING if found is None else f"{found:,}"


def share(found: float | None) -> str:
    """A share, in per cent."""
    return NOTHING if found is None else f"{100 * found:.3g} %"


def interval(found: dict[str, Any] | None) -> str:
    """A value with its interval, where it has one."""
    if found is None or found["value"] is None:
        return NOTHING
    if found.get("low") is None or found.get("high") is None:
        return value(found["value"])
    return f"{value(found['value'])} ({value(found['low'])} to {value(found['high'])})"


def chance(p: float | None) -> str:
    """A p-value."""
    if p is None:
        return NOTHING
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def column(name: str) -> str:
    """A column of the profile: two of them are not of the inputs."""
    return {SCORE: "the score", CONFIDENCE: "the confidence"}.get(name, name)


def listed(names: list[str], most: int = 5) -> str:
    """Names [at least one] in a sentence, the first few of many."""
    shown = names if len(names) <= most else [*names[:most], f"{len(names) - most} more"]
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"


METRICS = {
    "auc": "AUC", "average_precision": "average precision", "log_loss": "log loss", "brier": "Brier score",
    "accuracy": "accuracy", "base_rate": "base rate", "rmse": "RMSE", "mae": "mean absolute error", "r2": "R²",
}  # fmt: skip


def metric(name: str) -> str:
    """A metric's name in a sentence."""
    return METRICS.get(name, name)
