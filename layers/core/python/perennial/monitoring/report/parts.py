"""The parts of the report, each a piece of HTML out of its part of monitor.json."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from perennial.monitoring.report import charts, words
from perennial.monitoring.report.distributions import distribution

Told = Mapping[str, Any]

# What a page can hold, of models with thousands of features: so many columns are drawn, so many more are listed.
DRAWN, LISTED = 40, 400

_ROLES = {
    "calendar": "follows the calendar", "identifier": "names single things", "monotone": "only ever grows",
    "constant": "never changes",
}  # fmt: skip


def alarms(told: Told) -> str:
    """What is wrong, in plain words; or that nothing is."""
    if not told["alarms"]:
        return f'<section class="box"><h2>No alarm</h2><p>{escape(quiet(told))}</p></section>'
    return "".join(_alarm(one) for one in told["alarms"])


def quiet(told: Told) -> str:
    """Why there is no alarm."""
    if told["state"] != "watched":
        reasons = sorted({str(reason) for reason in told["why"].values()})
        return f"State: {told['state']}. {'; '.join(reasons)}".strip()
    drift = told["drift"]
    moved = "inputs and scores look like those of training" if drift else "inputs and scores could not be compared"
    if drift and drift["state"] != "compared":
        moved = f"inputs and scores could not be compared: {drift['state']}"
    elif drift and (unjudged := _unjudged(drift)):
        moved = f"not judged: too few days: {unjudged}; other inputs and scores look like those of training"
    said = told["performance"] and told["harm"]
    worse = "outcomes do not show that the model became worse" if said else "outcomes say nothing yet"
    return f"{moved[0].upper()}{moved[1:]}; {worse}."


def _unjudged(drift: Told) -> str:
    """The columns that could have drifted and had too few days to say; "" where there are none."""
    names = [words.column(one["name"]) for one in drift["columns"] if _had_few_days(one)]
    return words.listed(names) if names else ""


def _had_few_days(one: Told) -> bool:
    return bool(one["role"] == "plain" and one["p"] is None)


def _alarm(one: Told) -> str:
    title = {"drift": "Drift detected", "performance": "Performance degraded"}[one["reason"]]
    where = one["slice"]
    facts = [
        ("how much", one["how_much"]),
        ("since", one["since"] or "before this window"),
        ("worst slice", f"{where['column']} = {where['value']}: {words.interval(where['metric'])}" if where else None),
        ("predictions", words.count(one["predictions"])),
        ("what happens next", one["next"]),
    ]
    listed = "".join(f"<dt>{name}</dt><dd>{escape(said)}</dd>" for name, said in facts if said)
    return (
        f'<section class="box bad"><h2>{title}</h2><p>{escape(_sentence(one["what"]))}</p><dl>{listed}</dl></section>'
    )


def tiles(told: Told) -> str:
    """The few numbers that matter."""
    drift, performance, cohort = told["drift"], told["performance"], told.get("cohort")
    found = [(words.count(told["predictions"]), "predictions in the window", False)]
    if drift:
        moved = sum(one["moved"] for one in drift["columns"])
        found.append((f"{moved} of {len(drift['columns'])}", "columns moved", moved > 0))
    if cohort:
        found.append((words.share(cohort["coverage"]), "of the cohort has its outcome", False))
    if performance:
        name = performance["metric"]
        bad = bool(told["harm"] and told["harm"]["alarm"])
        now = performance["metrics"].get(name)
        found.append((words.value(now["value"] if now else None), f"{words.metric(name)} now", bad))
        trained = (performance["trained"] or {}).get(name)
        found.append((words.value(trained), f"{words.metric(name)} when it was trained", False))
    if told["value"]:
        for one in (one for one in told["value"]["versions"] if one["version"] == told["champion"]):
            about = f"{told['value']['unit'] or ''} earned by version {one['version']}".strip()
            found.append((words.value(one["total"]), about, False))
    shown = "".join(
        f'<div class="tile{" bad" if bad else ""}"><b>{escape(number)}</b><span>{escape(about)}</span></div>'
        for number, about, bad in found
    )
    return f'<div class="tiles">{shown}</div>'


def traffic(told: Told) -> str:
    """How many predictions each day, and by which version."""
    fresh = told["quality"]["freshness"]
    drawn = charts.over_time("Predictions by day", told["by_day"], lambda row: row["rows"], bars=True)
    rows = [(one["version"], words.count(one["rows"]), one["first"], one["last"]) for one in told["versions"]]
    said = f"The newest prediction is of {fresh['last']}." if fresh["last"] else "Nothing was predicted."
    silent = fresh["silent_days"]
    quiet_days = f" Without any: {', '.join(silent)}." if silent and fresh["last"] else ""
    return section(
        "Traffic", said + quiet_days, drawn, table(("version", "predictions", "first day", "last day"), rows, (1,))
    )


def quality(told: Told) -> str:
    """What is wrong with the rows themselves."""
    rows = [
        (one["column"], one["rule"], words.share(one["before"]), words.share(one["now"]), _example(one.get("example")))
        for one in told["quality"]["findings"]
    ]
    if not rows:
        return ""
    head = ("column", "what", "in training", "in the window", "for example")
    return section("Data quality", "What the rows of training did not have, or had less of.", table(head, rows, (2, 3)))


def _example(found: Any) -> str:
    return words.NOTHING if found in (None, "", []) else str(found)


def drift(told: Told) -> str:
    """Every column, overlaid; those that moved first, those that cannot drift folded away."""
    found = told["drift"]
    if not found:
        return section("Inputs and scores", escape_reason(told, "drift"))
    reference = told["reference"]
    said = (
        f"{words.count(reference['rows'])} rows that version {found['version']} was trained on, "
        f"beside {words.count(found['rows'])} predictions of the window. The effect is the share of rows that lie "
        "elsewhere; a column has moved when it is large enough and days do not explain it."
    )
    if found["state"] != "compared":
        said += f" Nothing is called moved here: {found['state']}."
    elif unjudged := _unjudged(found):
        said += f" Not judged: too few days: {unjudged}."
    key = '<div class="key"><span><i class="a"></i>training</span><span><i class="b"></i>this window</span></div>'
    plain = [one for one in found["columns"] if one["role"] == "plain"]
    others = [one for one in found["columns"] if one["role"] != "plain"]
    cards = f'<div class="cards">{"".join(map(_card, plain[:DRAWN]))}</div>'
    return section("Inputs and scores", said, key, cards, _further(plain[DRAWN:]), _by_nature(others))


def _further(columns: Sequence[Told]) -> str:
    """Columns that are not drawn: those with the smallest effects."""
    rows = [(words.column(one["name"]), words.share(one["effect"]), one["words"]) for one in columns[:LISTED]]
    listed = table(("column", "effect", "change"), rows, (1,))
    return f"<details><summary>Columns with smaller effects</summary>{listed}</details>" if rows else ""


def _by_nature(columns: Sequence[Told]) -> str:
    """Columns that cannot drift, and why."""
    rows = [(words.column(one["name"]), _ROLES.get(one["role"], one["role"]), one["words"]) for one in columns[:LISTED]]
    listed = table(("column", "why it is not judged", "change"), rows)
    return f"<details><summary>Columns that change by their nature</summary>{listed}</details>" if rows else ""


def _card(one: Told) -> str:
    mark = f"moved since {one['since']}" if one["moved"] and one["since"] else "moved" if one["moved"] else ""
    mark = "not judged: too few days" if _had_few_days(one) else mark
    p = "" if one["p"] is None else escape(f", p {words.chance(one['p'])}")
    return (
        f'<figure class="card{" moved" if one["moved"] else ""}"><span class="mark">{escape(mark)}</span>'
        f"<h3>{escape(words.column(one['name']))}</h3>"
        f"<p class='soft'>effect {words.share(one['effect'])}{p}; {escape(one['words'])}</p>"
        f"{distribution(one)}</figure>"
    )


def escape_reason(told: Told, part: str) -> str:
    """Why a part is not there."""
    return _sentence(str(told["why"].get(part, "nothing is known")))


def _sentence(said: str) -> str:
    return f"{said[0].upper()}{said[1:]}."


def section(title: str, said: str, *parts: str) -> str:
    """A part with its heading; `said` is plain text, `parts` are HTML."""
    return f'<section><h2>{escape(title)}</h2><p class="soft">{escape(said)}</p>{"".join(parts)}</section>'


def table(head: Sequence[str], rows: Iterable[Sequence[Any]], numbers: Sequence[int] = ()) -> str:
    """A table of texts, in which the columns `numbers` are set to the right."""
    kinds = [' class="n"' if place in numbers else "" for place in range(len(head))]
    top = "".join(f'<th scope="col"{kind}>{escape(name)}</th>' for kind, name in zip(kinds, head, strict=True))
    body = "".join(
        f"<tr>{''.join(f'<td{kind}>{escape(str(one))}</td>' for kind, one in zip(kinds, row, strict=True))}</tr>"
        for row in rows
    )
    return f'<div class="scroll"><table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>'
