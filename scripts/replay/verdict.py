"""What a replayed year must have shown. The bounds were fixed before the first replay, and are the same for all."""

from __future__ import annotations

from scripts.replay.timeline import Timeline

# Of the metric: the loop is clearly better than never retraining, and as good as retraining every month.
CLEARLY, AS_GOOD = 0.005, 0.005


def shortcomings(year: Timeline) -> list[str]:
    """What a year did not show; nothing when the loop has paid."""
    served, frozen, always = (year.mean(name) for name in ("served", "frozen", "always"))
    if served is None or frozen is None or always is None:
        return ["a month has no metric: too few outcomes of both kinds"]
    sign = 1 if year.greater_is_better else -1
    wrong = []
    if sign * (served - frozen) < CLEARLY:
        wrong.append(f"{year.metric} {served:.4f} is not {CLEARLY} better than never retrained ({frozen:.4f})")
    if sign * (always - served) > AS_GOOD:
        wrong.append(f"{year.metric} {served:.4f} is more than {AS_GOOD} short of retrained monthly ({always:.4f})")
    if year.deployed >= year.months_after_the_first:
        wrong.append(f"{year.deployed} deployments are no fewer than the {year.months_after_the_first} of every month")
    wrong += [f"the challenger with {one['kind']} was not refused" for one in year.refused if one["passed"]]
    if year.faults:
        wrong.append(f"{year.faults} of {year.requests} requests failed")
    return wrong
