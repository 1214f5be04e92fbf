"""Dates: what a model can learn from when something happened."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime, timedelta, timezone, tzinfo
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

import numpy as np
from annotated_types import Len
from pydantic import Field, field_validator

from .op import Array, Map, Op, need_single, texts_of
from .tensor_type import TensorType

Moments = np.ndarray
"""datetime64[s] in the time of the zone."""

_UNITS = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
_UTC = timezone(timedelta(0))  # servers with Python 3.10 have no datetime.UTC
_EPOCH = datetime(1970, 1, 1)
_DAY_S, _HOUR_S, _MINUTE_S = 86_400, 3_600, 60
# Years 1 to 9999, as Python and ISO 8601 have them.
_FIRST_S, _LAST_S = -62_135_596_800, 253_402_300_799


def _second(moments: Moments) -> Array:
    return (moments.astype(np.int64) % _DAY_S).astype(np.float64)


def _day_of_year(moments: Moments) -> Array:
    days = moments.astype("datetime64[D]")
    return (days - days.astype("datetime64[Y]").astype("datetime64[D]")).astype(np.int64) + 1


def _weekday(moments: Moments) -> Array:
    # The epoch was a Thursday.
    return (moments.astype("datetime64[D]").astype(np.int64) + 3) % 7


def _month(moments: Moments) -> Array:
    return moments.astype("datetime64[M]").astype(np.int64) % 12 + 1


def _day(moments: Moments) -> Array:
    days = moments.astype("datetime64[D]")
    return (days - days.astype("datetime64[M]").astype("datetime64[D]")).astype(np.int64) + 1


def _week(moments: Moments) -> Array:
    # A week of ISO 8601 belongs to the year that its Thursday is in.
    days = moments.astype("datetime64[D]")
    thursday = days + (3 - _weekday(moments))
    return (_day_of_year(thursday.astype("datetime64[s]")) - 1) // 7 + 1


PLAIN: dict[str, Callable[[Moments], Array]] = {
    "year": lambda m: m.astype("datetime64[Y]").astype(np.int64) + 1970,
    "quarter": lambda m: (_month(m) - 1) // 3 + 1,
    "month": _month,
    "week": _week,
    "day": _day,
    "day_of_year": _day_of_year,
    "weekday": _weekday,
    "weekend": lambda m: (_weekday(m) >= 5).astype(np.int64),
    "hour": lambda m: _second(m) // _HOUR_S,
    "minute": lambda m: _second(m) % _HOUR_S // _MINUTE_S,
    "second": lambda m: _second(m) % _MINUTE_S,
}
CYCLES: dict[str, tuple[Callable[[Moments], Array], float]] = {
    "month": (lambda m: _month(m) - 1, 12),
    "day_of_year": (lambda m: _day_of_year(m) - 1, 365.25),
    "weekday": (_weekday, 7),
    "hour": (lambda m: _second(m) / _HOUR_S, 24),
    "minute": (lambda m: _second(m) % _HOUR_S / _MINUTE_S, 60),
}
"""What goes round, counted from 0, and after how much it begins anew."""

_FEATURES = (*PLAIN, *(f"{name}_{wave}" for name in CYCLES for wave in ("sin", "cos")))
Feature = Literal[_FEATURES]  # type: ignore[valid-type]


class DateFeatures(Map):
    """A moment becomes numbers: parts of its date, and where it stands in what goes round.

    `month` is 1 to 12, `weekday` 0 (Monday) to 6, `week` that of ISO 8601, `weekend` 0 or 1. With
    `_sin` and `_cos` it is `sin(2 π x / period)` and `cos(…)`, x from 0: the month of 12,
    `day_of_year` of 365.25, `weekday` of 7, `hour` of 24 and `minute` of 60, both with fractions.
    """

    shapes = "BYTES[1] (ISO 8601) or INT64[1] (since 1970) → FP32[features]"

    features: Annotated[tuple[Feature, ...], Len(1, 256)] = Field(
        description=f"In that order, of {', '.join(PLAIN)}; and with _sin or _cos "
        f"{', '.join(CYCLES)}."
    )
    zone: str = Field(
        "UTC", description="Whose clock they are read from; a text without an offset is in it."
    )
    unit: Literal["s", "ms", "us", "ns"] = Field("s", description="Of integers.")

    @field_validator("zone")
    @classmethod
    def _known(cls, name: str) -> str:
        _zone(name)
        return name

    def infer_one(self, given: TensorType) -> TensorType:
        need_single(given, ["BYTES", "INT64"])
        return TensorType("FP32", (len(self.features),))

    def run_one(self, value: Array) -> Array:
        moments = self._moments(value)
        columns = [_feature(name, moments) for name in self.features]
        return np.stack(columns, axis=1).astype(np.float32)

    def _moments(self, value: Array) -> Moments:
        zone = _zone(self.zone)
        if value.dtype == object:
            seconds = np.array([_local(text, zone) for text in texts_of(value)], np.int64)
            return seconds.astype("datetime64[s]")
        seconds = value.reshape(-1) // _UNITS[self.unit]
        if ((seconds < _FIRST_S) | (seconds > _LAST_S)).any():
            wrong = int(value.reshape(-1)[(seconds < _FIRST_S) | (seconds > _LAST_S)][0])
            raise ValueError(f"{wrong} {self.unit} since 1970 is beyond the years 1 to 9999")
        if zone is not _UTC:
            seconds = seconds + np.array([_offset(each, zone) for each in seconds.tolist()])
        return seconds.astype("datetime64[s]")


def _zone(name: str) -> tzinfo:
    if name == "UTC":
        return _UTC
    if not re.fullmatch(r"[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+)*", name):
        raise ValueError(f"{name[:80]!r} names no time zone, as Europe/Berlin does")
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise ValueError(f"there is no time zone {name[:80]!r} on this machine") from None


def _local(text: str, zone: tzinfo) -> int:
    """Seconds since 1970 on the zone's clock."""
    plain = text.strip()
    # Before 3.11 Python reads no Z.
    plain = f"{plain[:-1]}+00:00" if plain[-1:] in ("Z", "z") else plain
    try:
        moment = datetime.fromisoformat(plain)
        if moment.tzinfo is not None:
            moment = moment.astimezone(zone).replace(tzinfo=None)
        return (moment.replace(microsecond=0) - _EPOCH) // timedelta(seconds=1)
    except (ValueError, OverflowError):
        raise ValueError(f"{text[:80]!r} is no date of ISO 8601") from None


def _offset(seconds: int, zone: tzinfo) -> int:
    try:
        moment = datetime.fromtimestamp(seconds, _UTC).astimezone(zone)
    except (ValueError, OverflowError, OSError):
        raise ValueError(f"{seconds} s since 1970 is beyond the years 1 to 9999") from None
    offset = moment.utcoffset() or timedelta()
    return offset // timedelta(seconds=1)


def _feature(name: str, moments: Moments) -> Array:
    if name in PLAIN:
        return PLAIN[name](moments).astype(np.float64)
    cycle, _, wave = name.rpartition("_")
    place, period = CYCLES[cycle]
    angle = 2 * np.pi * place(moments) / period
    return np.sin(angle) if wave == "sin" else np.cos(angle)


OPS: dict[str, type[Op]] = {"date_features": DateFeatures}
