"""The example data, by month."""

from __future__ import annotations

from pathlib import Path

from scripts.flights import months


def test_twelve_months_hold_every_flight_of_the_year_once(tmp_path: Path) -> None:
    paths = months(tmp_path)

    assert [path.name for path in paths] == [f"flights-2013-{month:02d}.csv" for month in range(1, 13)]
    bodies = [path.read_bytes().splitlines() for path in paths]
    assert sum(len(body) - 1 for body in bodies) == 336_776
    assert len({body[0] for body in bodies}) == 1
    assert all(line.split(b",")[1] == b"%d" % month for month, body in enumerate(bodies, 1) for line in body[1:])


def test_files_that_are_there_are_not_written_again(tmp_path: Path) -> None:
    first = months(tmp_path)
    first[0].write_text("mine")

    assert months(tmp_path)[0].read_text() == "mine"
