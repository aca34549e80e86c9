"""What a replayed year must have shown. The bounds were fixed before the first replay, and are the same for all."""

from __future__ import annotations

from collections.abc import Iterator

from scripts.replay.timeline import LEAKED, SHUFFLED, STALE, Timeline

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
    wrong += _unrefused(year)
    if year.faults:
        wrong.append(f"{year.faults} of {year.requests} requests failed")
    return wrong


def _unrefused(year: Timeline) -> Iterator[str]:
    """Bad challengers that passed, or were refused, but not for what is wrong with them."""
    learnt, believed = ("min", "max") if year.greater_is_better else ("max", "min")
    meant = {
        SHUFFLED: [f"{year.metric}.{learnt}", f"{year.metric}.champion"],
        STALE: ["train.window", f"{year.metric}.champion"],
        LEAKED: [f"{year.metric}.{believed}", f"{year.metric}.plausible"],
    }
    for one in year.refused:
        gates = meant[one["kind"]]
        if one["passed"]:
            yield f"the challenger with {one['kind']} was not refused"
        elif not set(gates) & set(one["gates"]):
            yield f"the challenger with {one['kind']} was refused by {one['gates']}, not by {' or '.join(gates)}"
