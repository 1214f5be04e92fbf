"""JSON and dates against Python's own."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backends.transform.nereid_transforms.dates import PLAIN
from backends.transform.nereid_transforms.spec import SpecError
from backends.transform.nereid_transforms.transform import RowError
from tests.support.transforms import ran, step, texts

FIELDS = {
    "age": {"path": "/customer/age", "datatype": "FP32"},
    "city": {"path": "/customer/~1city", "datatype": "BYTES", "default": "?"},
    "flags": {"datatype": "BOOL", "dims": [2]},
    "count": {"path": "/items/0", "datatype": "INT8", "default": -1},
    "grid": {"datatype": "FP64", "dims": [2, -1]},
}
DOCUMENT = {
    "customer": {"age": 41, "/city": "Köln"},
    "flags": [True, False],
    "items": [3.0, 4],
    "grid": [[1, 2.5], [3, 4]],
}


def parsed(*documents: object) -> list[np.ndarray]:
    given = texts(*(json.dumps(document) for document in documents))
    found: list[np.ndarray] = ran("parse_json", {"fields": FIELDS}, given, outputs=list(FIELDS))
    return found


def test_fields_of_a_document_become_tensors() -> None:
    age, city, flags, count, grid = parsed(
        DOCUMENT, DOCUMENT | {"items": None, "customer": {"age": 0.5}}
    )
    assert age.tolist() == [[41], [0.5]]
    assert city.tolist() == [["Köln"], ["?"]]
    assert flags.tolist() == [[True, False]] * 2
    assert count.tolist() == [[3], [-1]]
    assert grid.tolist() == [[[1, 2.5], [3, 4]]] * 2


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"customer": {}}, "/customer/age is missing, and there is no default"),
        ({"customer": {"age": None}}, "/customer/age is missing"),
        ({"customer": {"age": "41"}}, '/customer/age is "41", which is no FP32'),
        ({"customer": {"age": True}}, "/customer/age is true, which is no FP32"),
        ({"customer": {"age": [1, 2]}}, r"/customer/age has the shape \[2\], and \[1\]"),
        ({"items": [3.5]}, "/items/0 is 3.5, which is no INT8"),
        ({"items": [300]}, "300 is beyond what INT8 holds"),
        ({"flags": [True]}, r"/flags has the shape \[1\], and \[2\]"),
        ({"flags": [1, 0]}, "/flags is 1, which is no BOOL"),
        ({"grid": [[1, 2], [3]]}, "/grid is a list whose rows are not alike"),
        ({"grid": [1, 2]}, r"/grid has the shape \[2\], and \[2, -1\]"),
        ({"customer": {"age": 1e39}}, "is beyond what FP32 holds"),
        ({"customer": {"age": 10**400}}, "/customer/age is a number beyond what FP32 holds"),
        ({"customer": {"age": 1, "/city": "\ud83d"}}, "/customer/~1city has half a character"),
    ],
)
def test_a_document_that_does_not_fit_is_refused(change: dict, says: str) -> None:
    with pytest.raises(RowError, match=says):
        parsed(DOCUMENT | change)


@pytest.mark.parametrize(
    "text", ["", "{", '{"age": NaN}', "[" * 100_000, b"\xff", '{"age": 1e999}']
)
def test_what_is_no_json_is_refused(text: str | bytes) -> None:
    with pytest.raises(RowError):
        ran("parse_json", {"fields": {"age": {"datatype": "INT64"}}}, texts(text), outputs=["age"])


def test_nan_is_no_word_of_json() -> None:
    with pytest.raises(RowError, match="a text is no JSON: NaN is no number there"):
        ran("parse_json", {"fields": {"age": {}}}, texts('{"age": NaN}'), outputs=["age"])


@pytest.mark.parametrize("default", [math.nan, "NaN"])
def test_what_is_missing_may_be_nan_and_a_part_of_a_list(default: object) -> None:
    fields = {"x": {"dims": [3], "default": default}}
    [x] = ran("parse_json", {"fields": fields}, texts('{"x": [1, null, 3]}', "{}"), outputs=["x"])
    assert np.array_equal(x, [[1, np.nan, 3], [np.nan] * 3], equal_nan=True)


def test_columns_of_a_table_come_from_a_path_each() -> None:
    fields = {"x": {"paths": ["/b", "/a/0", "/c"], "datatype": "INT64", "default": 7}}
    [x] = ran(
        "parse_json", {"fields": fields}, texts('{"a": [1], "b": 2}', '{"a": [3]}'), outputs=["x"]
    )
    assert x.tolist() == [[2, 1, 7], [7, 3, 7]]
    del fields["x"]["default"]
    with pytest.raises(RowError, match="/b is missing"):
        ran("parse_json", {"fields": fields}, texts('{"a": [3]}'), outputs=["x"])


@given(
    st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=3, max_size=3),
    st.integers(-(2**63), 2**63 - 1),
    st.text(),
    st.booleans(),
)
def test_what_is_built_is_parsed_to_the_same(
    floats: list[float], whole: int, word: str, truth: bool
) -> None:
    built = step(
        "build_json",
        {},
        {"f": ("FP32", [3]), "i": ("INT64", [1]), "w": ("BYTES", [1]), "t": ("BOOL", [1])},
    )
    values = {
        "f": np.array([floats], np.float32),
        "i": np.array([[whole]], np.int64),
        "w": texts(word.encode("utf-8", "replace")),
        "t": np.array([[truth]]),
    }
    [document] = built.run(["output"], values)
    fields = {
        "f": {"dims": [3]},
        "i": {"datatype": "INT64"},
        "w": {"datatype": "BYTES"},
        "t": {"datatype": "BOOL"},
    }
    found = ran("parse_json", {"fields": fields}, document, outputs=list(fields))
    assert np.array_equal(found[0], values["f"])
    assert [each.tolist() for each in found[1:]] == [[[whole]], [[word]], [[truth]]]


def test_documents_are_written_as_people_write_them() -> None:
    x = np.array([[0.1, np.nan], [1 / 3, -np.inf]], np.float32)
    [line, other] = ran("build_json", {"decimals": 2}, x)[:, 0]
    assert (line, other) == ('{"input": [0.1, null]}', '{"input": [0.33, null]}')
    single = np.array([[7]], np.uint8)
    assert ran("build_json", {}, single)[0, 0] == '{"input": 7}'
    assert ran("build_json", {"lists": True}, single)[0, 0] == '{"input": [7]}'


MOMENTS = st.datetimes(datetime(1000, 1, 1), datetime(9000, 1, 1)).map(
    lambda moment: moment.replace(microsecond=0)
)


@given(MOMENTS)
def test_parts_of_a_date_are_pythons(moment: datetime) -> None:
    found = ran("date_features", {"features": list(PLAIN)}, texts(moment.isoformat()))
    assert dict(zip(PLAIN, found[0].tolist(), strict=True)) == {
        "year": moment.year,
        "quarter": (moment.month + 2) // 3,
        "month": moment.month,
        "week": moment.isocalendar().week,
        "day": moment.day,
        "day_of_year": moment.timetuple().tm_yday,
        "weekday": moment.weekday(),
        "weekend": moment.weekday() >= 5,
        "hour": moment.hour,
        "minute": moment.minute,
        "second": moment.second,
    }
    seconds = np.array([[(moment - datetime(1970, 1, 1)) // timedelta(milliseconds=1)]], np.int64)
    options = {"features": list(PLAIN), "unit": "ms"}
    assert np.array_equal(ran("date_features", options, seconds), found)


@given(MOMENTS, st.sampled_from(["Europe/Berlin", "America/New_York", "Asia/Kolkata", "UTC"]))
def test_dates_are_read_from_the_clock_of_the_zone(moment: datetime, zone: str) -> None:
    utc = moment.replace(tzinfo=UTC)
    local = utc.astimezone(ZoneInfo(zone))
    options = {"features": ["year", "day_of_year", "hour", "minute"], "zone": zone}
    seconds = np.array([[(moment - datetime(1970, 1, 1)) // timedelta(seconds=1)]], np.int64)
    wanted = [local.year, local.timetuple().tm_yday, local.hour, local.minute]
    assert ran("date_features", options, seconds)[0].tolist() == wanted
    text = utc.isoformat().replace("+00:00", "Z")
    assert ran("date_features", options, texts(text))[0].tolist() == wanted
    bare = local.replace(tzinfo=None).isoformat()
    assert ran("date_features", options, texts(bare))[0].tolist() == wanted


def test_what_goes_round_ends_where_it_begins() -> None:
    features = ["month_sin", "month_cos", "weekday_cos", "hour_sin", "hour_cos", "minute_sin"]
    found = ran(
        "date_features",
        {"features": features},
        texts("2024-01-01T00:00:00", "2024-04-01T06:15", "2024-07-01 18:30:00"),
    )
    turn = 2 * math.pi
    assert np.allclose(found[0], [0, 1, 1, 0, 1, 0], atol=1e-6)
    wanted = [1, 0, 1, math.sin(turn * 6.25 / 24), math.cos(turn * 6.25 / 24), 1]
    assert np.allclose(found[1], wanted, atol=1e-6)
    assert np.allclose(found[2][:2], [0, -1], atol=1e-6)


@pytest.mark.parametrize("text", ["", "yesterday", "2024-13-01", "10000-01-01", b"\xff"])
def test_what_is_no_date_is_refused(text: str | bytes) -> None:
    with pytest.raises(RowError):
        ran("date_features", {"features": ["year"]}, texts(text))


def test_a_number_beyond_all_calendars_is_refused() -> None:
    with pytest.raises(RowError, match="s since 1970 is beyond the years 1 to 9999"):
        ran("date_features", {"features": ["year"]}, np.array([[2**62]], np.int64))
    options = {"features": ["year"], "zone": "Asia/Tokyo"}
    with pytest.raises(RowError, match="is beyond the years 1 to 9999"):
        ran("date_features", options, np.array([[253_402_300_799]], np.int64))


@pytest.mark.parametrize(
    ("op", "options", "kind", "says"),
    [
        ("date_features", {"features": ["moon"]}, ("BYTES", [1]), "options features.0: "),
        ("date_features", {"features": ["year"]}, ("FP32", [1]), "takes BYTES or INT64"),
        ("date_features", {"features": ["year"], "zone": "Mars"}, ("BYTES", [1]), "'Mars'"),
        ("date_features", {"features": ["year"], "zone": "../etc"}, ("BYTES", [1]), "no time zone"),
        ("parse_json", {"fields": {"x": {"default": "a"}}}, ("BYTES", [1]), "which is no FP32"),
        ("parse_json", {"fields": {"x": {"path": "a"}}}, ("BYTES", [1]), "'a' is no JSON pointer"),
        ("parse_json", {"fields": {"x": {"dims": [-1], "default": 1}}}, ("BYTES", [1]), "not vary"),
        (
            "parse_json",
            {"fields": {"x": {"paths": ["/a"], "dims": [2]}}},
            ("BYTES", [1]),
            "go without",
        ),
        ("parse_json", {"fields": {}}, ("BYTES", [1]), "options fields: "),
        ("parse_json", {"fields": {"x": {}}}, ("BYTES", [2]), "one value a row"),
    ],
)
def test_what_cannot_be_is_refused_before_there_are_values(
    op: str, options: dict, kind: tuple, says: str
) -> None:
    with pytest.raises(SpecError) as error:
        step(op, options, {"x": kind})
    assert says in str(error.value)
