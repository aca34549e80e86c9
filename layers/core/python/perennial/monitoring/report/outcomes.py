"""The parts of the report that outcomes tell: performance, calibration, slices, the estimate, value."""

from __future__ import annotations

from html import escape
from typing import Any

from perennial.monitoring.report import charts, words
from perennial.monitoring.report.parts import DRAWN, Told, escape_reason, section, table


def performance(told: Told) -> str:
    """The metric day by day with versions marked, all metrics beside those of training, and the test for harm."""
    found = told["performance"]
    if not found:
        return section("Performance", escape_reason(told, "performance"), _harm(told), _cohort(told))
    name = found["metric"]
    trained = (found["trained"] or {}).get(name)
    level = None if trained is None else (trained, f"version {found['version']} when it was trained")
    drawn = charts.over_time(f"{words.metric(name)} by day", found["by_day"], lambda row: row["value"], level)
    rows = [
        (words.metric(one), words.interval(value), words.value((found["trained"] or {}).get(one)))
        for one, value in found["metrics"].items()
    ]
    cohort = told["cohort"]
    said = (
        f"{words.count(found['rows'])} predictions of version {found['version']} with outcomes, made from "
        f"{cohort['from']} to {cohort['to']}: the newest days whose outcomes are due, "
        f"{words.count(found['horizon_days'])} days after them. Intervals are by days."
    )
    return section(
        "Performance", said, f"<figure>{drawn}</figure>", _harm(told),
        table(("metric", f"version {found['version']} now", "when it was trained"), rows, (1, 2)), _cohort(told),
        _versions(found),
    )  # fmt: skip


def _harm(told: Told) -> str:
    harm = told["harm"]
    if harm is None:
        why = told["why"].get("harm")
        return section_note(f"No test for harm: {why}.") if why else ""
    verdict = "shown" if harm["alarm"] else "not shown"
    return section_note(
        f"Harm is {verdict}: {harm['words']}. The evidence is {words.value(harm['e_value'])} to one, "
        f"{words.value(harm['threshold'])} to one is needed; it may be looked at every day."
    )


def section_note(said: str) -> str:
    """A sentence below a drawing."""
    return f"<p>{escape(said)}</p>"


def _versions(found: Told) -> str:
    """All versions side by side, where there are several."""
    if len(found["versions"]) < 2:
        return ""
    names = [found["metric"], *[one for one in found["metrics"] if one != found["metric"]][:3]]
    rows = [
        (one["version"], words.count(one["rows"]), one["first"], one["last"], *map(words.interval, _of(one, names)))
        for one in found["versions"]
    ]
    return table(("version", "outcomes", "first day", "last day", *map(words.metric, names)), rows, (1,))


def _of(version: Told, names: list[str]) -> list[dict[str, Any] | None]:
    return [version["metrics"].get(name) for name in names]


def _cohort(told: Told) -> str:
    """What became of everything that was said."""
    found = told.get("cohort")
    if not found:
        return ""
    wrong = [
        ("came late", "late"), ("of days before these, late or said again", "older"),
        ("were true before the prediction", "before"), ("of unknown predictions", "unknown"),
        ("contradicted another (the newest counts)", "contradicting"), ("further events of an entity", "further"),
        ("said the same again", "repeated"),
    ]  # fmt: skip
    said = "; ".join(f"{words.count(found[name])} {about}" for about, name in wrong if found[name])
    left = "; ".join(f"{words.count(rows)} left out: {reason}" for reason, rows in found["left_out"].items())
    more = f" Outcomes: {'; '.join(part for part in (said, left) if part)}." if said or left else ""
    return section_note(
        f"Coverage: {words.count(found['with_outcome'])} of {words.count(found['predictions'])} predictions have their "
        f"outcome ({words.share(found['coverage'])}).{more}"
    )


def calibration(told: Told) -> str:
    """Whether probabilities come true as often as they say."""
    found = told["performance"]
    if not found or not found["calibration"]:
        return ""
    shares = told["task"] != "regression"
    rows = [
        (
            words.value(one["predicted"]),
            words.interval({"value": one["observed"], "low": one["low"], "high": one["high"]}),
            words.count(one["rows"]),
        )
        for one in found["calibration"]
    ]
    said = (
        "On the dashed line what was predicted comes true as often as it was said."
        if shares
        else ("On the dashed line values are on average what was predicted.")
    )
    drawn = f"<figure>{charts.calibration(found['calibration'], shares)}</figure>"
    beside = table(("predicted", "observed", "predictions"), rows, (0, 1, 2))
    return section("Calibration", said, f'<div class="two">{drawn}{beside}</div>')


def slices(told: Told) -> str:
    """Where the model is worse than elsewhere."""
    found = told["performance"]
    if not found or not found["slices"]:
        return ""
    worse = [one for one in found["slices"] if one["worse"]]
    name = words.metric(found["sliced"]["metric"])
    said = (
        f"{name} within each slice, beside that of the other slices of its column (the upright mark). "
        f"{len(worse)} of {len(found['slices'])} slices are worse by more than chance explains."
    )
    drawn = charts.forest(f"{name} by slice", found["slices"][:DRAWN])
    more = len(found["slices"]) - DRAWN
    few = "; ".join(
        f"{words.count(one['rows'])} predictions by {one['column']} {one['reason']}"
        for one in found["sliced"]["left_out"]
    )
    return section("Slices", said, f"<figure>{drawn}</figure>", section_note(f"Left out: {few}.") if few else "",
        section_note(f"{more} more slices are in monitor.json; these are the worst.") if more > 0 else "",
    )  # fmt: skip


def estimate(told: Told) -> str:
    """What is to be expected before the outcomes come, beside the assumption that nothing changed."""
    found = told["estimate"]
    if not found:
        return ""
    past, name = found["past"], words.metric(found["metric"])
    rows = [
        ("estimated from the scores", words.value(found["cbpe"]) if found["shown"] else "withheld",
         words.value(past["cbpe_error"])),
        ("unchanged since training", words.value(found["unchanged"]), words.value(past["unchanged_error"])),
    ]  # fmt: skip
    said = (
        f"{name} of the window before its outcomes have come. "
        f"{'Shown' if found['shown'] else 'Withheld'}: {found['reason']}."
    )
    return section("Without outcomes", said, table(("", name, "mean error on past windows"), rows, (1, 2)))


def value(told: Told) -> str:
    """What the predictions were worth."""
    found = told["value"]
    if not found:
        return section("Value", escape_reason(told, "value")) if told["performance"] and told["unit"] else ""
    unit = found["unit"] or "value"
    drawn = charts.over_time(f"{unit} by day", found["by_day"], lambda row: row["total"], bars=True)
    rows = [
        (
            one["version"],
            words.count(one["rows"]),
            words.interval({"value": one["total"], "low": one["total_low"], "high": one["total_high"]}),
            words.interval({"value": one["mean"], "low": one["low"], "high": one["high"]}),
        )
        for one in found["versions"]
    ]
    said = f"In {unit}, by {' and '.join(found['of'])}; {words.count(found['rows'])} predictions count."
    head = ("version", "predictions", f"{unit} in all", f"{unit} a prediction")
    return section("Value", said, f"<figure>{drawn}</figure>", table(head, rows, (1, 2, 3)))
