"""Charts as geometry: what is drawn where, and what is not drawn."""

from __future__ import annotations

from control_plane.console.charts import Frame, Line, lined, stacked
from control_plane.console.words import microseconds, percent


def frame(*known: bool) -> Frame:
    return Frame([f"time {i}" for i in range(len(known))], [], known)


def say(value: float) -> str:
    return f"{value:g}/s"


def test_areas_stand_on_one_another() -> None:
    chart = stacked(
        frame(True, True),
        "Rate",
        "",
        [Line("one", 0, [6, 3]), Line("two", 1, [2, 5])],
        say,
    )
    # Both sums are 8, and the scale goes from 0 to 8 in steps of 2.
    assert [tick.text for tick in chart.y_ticks] == ["0/s", "2/s", "4/s", "6/s", "8/s"]
    upper, lower = chart.shapes
    assert (lower.colour, lower.path) == (0, "M0.5 25 L1.5 62.5 L1.5 100 L0.5 100 Z")
    assert (upper.colour, upper.path) == (1, "M0.5 0 L1.5 0 L1.5 62.5 L0.5 25 Z")
    assert chart.columns[1].text == "time 1\none: 3/s\ntwo: 5/s"


def test_a_gap_is_a_gap_and_no_zero() -> None:
    measured = frame(True, True, False, True, True)
    rate = stacked(measured, "Rate", "", [Line("one", 0, [1, 1, None, 1, 1])], say)
    assert rate.shapes[0].path.count("M") == rate.shapes[0].path.count("Z") == 2
    assert [column.x for column in rate.unmeasured] == [2]
    assert rate.columns[2].text == "time 2\nnot measured"
    line = lined(measured, "Latency", "", [Line("one", 0, [4, None, None, 4, 4])], say)
    assert line.shapes[0].path == "M0.3 0 L0.7 0 M3.5 0 L4.5 0", "one point alone is a dash"


def test_nothing_to_draw_is_said() -> None:
    chart = stacked(frame(True, True), "Rate", "", [Line("one", 0, [0, 0])], say)
    assert chart.empty
    assert [tick.text for tick in chart.y_ticks] == ["0/s", "1/s"]
    assert lined(frame(False, False), "Rate", "", [Line("one", 0, [None, None])], say).empty


def test_the_scale_ends_at_a_round_number() -> None:
    def top(highest: float) -> str:
        chart = lined(frame(True), "", "", [Line("one", 0, [highest])], say)
        assert 2 <= len(chart.y_ticks) <= 5
        return chart.y_ticks[-1].text

    assert [top(v) for v in (8, 8.1, 0.97, 35_000, 1e-3)] == [
        "8/s",
        "10/s",
        "1/s",
        "40000/s",
        "0.001/s",
    ]


def test_latencies_read_well() -> None:
    values = (87.4, 999.9, 999_900, 1240, 24_300, 101_000, 1.5e6, 100e6, None)
    assert [microseconds(v) for v in values] == [
        "87.4 µs",
        "1 ms",
        "1 s",
        "1.24 ms",
        "24.3 ms",
        "101 ms",
        "1.5 s",
        "100 s",
        "–",  # noqa: RUF001
    ]
    assert [percent(v) for v in (0.0, 9.974, None)] == ["0 %", "9.97 %", "–"]  # noqa: RUF001
