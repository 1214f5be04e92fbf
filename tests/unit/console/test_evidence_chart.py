"""A confidence sequence as geometry: what closes in on what, and what is said of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from control_plane.console.evidence_chart import BINS, Limit, Reading, evidence_chart

BEGAN = datetime(2026, 11, 26, 12, tzinfo=UTC)


def say(value: float) -> str:
    return f"{value:g}"


def reading(
    seconds: float, lower: float | None, upper: float | None, estimate: float | None = None
) -> Reading:
    return Reading(BEGAN + timedelta(seconds=seconds), lower, upper, estimate)


def chart(*readings: Reading, limit: Limit = Limit(0.5), seconds: float = BINS):  # type: ignore[no-untyped-def]  # noqa: B008
    until = BEGAN + timedelta(seconds=seconds)
    return evidence_chart(readings, limit, say, BEGAN, until)


def y_of(path: str, x: int) -> float:
    points = [part.split() for part in path.removeprefix("M").split(" L")]
    return next(float(y) for at, y in points if float(at) == x)


def test_a_look_holds_until_the_next_one() -> None:
    drawn = chart(reading(10, -1, 1, 0.2), reading(90, -0.25, 0.25, 0.1))
    assert drawn.upper.startswith("M10 ")
    assert y_of(drawn.upper, 10) == y_of(drawn.upper, 89) < y_of(drawn.upper, 91)
    assert y_of(drawn.lower, 20) > y_of(drawn.lower, 100) > y_of(drawn.upper, 100)
    assert [column.x for column in drawn.columns] == list(range(10, BINS))
    assert drawn.columns[-1].text.endswith("between -0.25 and 0.25; measured 0.1")


def test_bounds_on_either_side_of_the_limit_stand_there() -> None:
    good = chart(reading(100, -0.2, 0.3))
    bad = chart(reading(100, 0.7, 0.9))
    assert y_of(good.upper, 110) > good.limit_y, "below the line"
    assert y_of(bad.lower, 110) < bad.limit_y, "above it"
    assert (good.bad_from, good.bad_height) == (0.0, good.limit_y)
    assert good.good_from == good.limit_y


def test_where_more_is_better_the_bad_side_is_below() -> None:
    drawn = chart(reading(100, -0.9, 0.3), limit=Limit(-0.5, above_is_bad=False))
    assert drawn.bad_from == drawn.limit_y
    assert drawn.bad_height == 100 - drawn.limit_y
    assert (drawn.good_from, drawn.good_height) == (0.0, drawn.limit_y)


def test_a_bound_that_there_is_not_yet_reaches_to_the_edge() -> None:
    drawn = chart(reading(60, None, None, 0.1), reading(100, None, 0.4, 0.1))
    assert y_of(drawn.upper, 70) < 0
    assert y_of(drawn.lower, 110) > 100
    assert drawn.summary.startswith("At most 0.4; measured 0.1")
    assert "no bound yet" in drawn.columns[0].text
    assert 0 < drawn.limit_y < 100


def test_without_a_look_there_is_a_limit_and_nothing_else() -> None:
    drawn = chart()
    assert (drawn.band, drawn.upper, drawn.estimate, drawn.columns) == ("", "", "", [])
    assert drawn.summary == "No look was taken yet."
    assert 0 < drawn.limit_y < 100


def test_what_was_wide_at_first_does_not_make_the_end_small() -> None:
    late = reading(119, 0.001, 0.004, 0.002)
    drawn = chart(reading(1, -1, 1), reading(50, 0.001, 0.004), late, limit=Limit(0.005))
    assert abs(drawn.limit_y - y_of(drawn.upper, 119)) > 5, "they can be told apart"


def test_what_decides_is_seen_however_far_off_the_other_bound_is() -> None:
    passed = chart(reading(100, -0.5, 0.005, 0.0), limit=Limit(0.005))
    assert 15 < passed.limit_y < 60, "the limit is in the middle, not at the edge"
    assert y_of(passed.lower, 110) > 100, "which the far bound runs out of"
    failed = chart(reading(100, 0.01, 0.9, 0.05), limit=Limit(0.005))
    assert failed.limit_y - y_of(failed.lower, 110) > 2


def test_times_are_few_and_round() -> None:
    for seconds in (3, 59, 61, 700, 5_000, 90_000, 2_000_000):
        ticks = chart(reading(1, 0, 1), seconds=seconds).x_ticks
        assert 1 <= len(ticks) <= 6, seconds
        assert all(4 <= tick.at <= 96 for tick in ticks)
    assert [tick.text for tick in chart(reading(1, 0, 1), seconds=70).x_ticks] == [
        "15 s",
        "30 s",
        "45 s",
        "1 min",
    ]


def test_small_figures_fill_the_plot_as_large_ones_do() -> None:
    small = chart(reading(100, 0.0003, 0.00045, 0.0004), limit=Limit(0.0005))
    large = chart(reading(100, 3000, 4500, 4000), limit=Limit(5000))
    assert (small.limit_y, small.upper) == (large.limit_y, large.upper)
