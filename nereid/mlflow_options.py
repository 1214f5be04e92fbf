"""The options of MLflow's `-C key=value`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from nereid.golden import read_golden

KEYS: Mapping[str, str] = {
    "model": "Nereid's model; else the deployment's name",
    "version": "the number that the new version takes; without -m: the version to give traffic to",
    "weight": "percent of the traffic, on update; else 100",
    "profile": "the serving profile",
    "description": "of the version, and of an endpoint that is made",
    "golden": "a file with golden examples, JSON or .npz",
    "fetch": "here (MLflow's client fetches, Nereid's sends) or server (the server fetches from "
    "the tracking server that it knows)",
    "timeout": "seconds to wait until it is checked, and until it serves; else 600",
}


class OptionError(ValueError):
    """An option that is not known, or a value that it cannot have."""


@dataclass(frozen=True)
class Options:
    """What was asked for."""

    model: str | None = None
    version: int | None = None
    weight: Decimal = Decimal(100)
    profile: str | None = None
    description: str = ""
    golden: str | None = None
    fetch: str = "here"
    timeout: float = 600.0

    @classmethod
    def of(cls, config: Mapping[str, Any] | None) -> Options:
        """The options of a plugin's `config`.

        Raises:
            OptionError: one is not known, or has a value that it cannot have.
        """
        given = dict(config or {})
        if unknown := sorted(given.keys() - KEYS.keys()):
            raise OptionError(f"no option {', '.join(unknown)}: there are {', '.join(KEYS)}")
        if given.get("fetch", "here") not in ("here", "server"):
            raise OptionError(f"fetch={given['fetch']}: it is here, or server")
        for key, read in (("version", _number), ("weight", _percent), ("timeout", _seconds)):
            if key in given:
                given[key] = read(key, str(given[key]))
        return cls(**given)

    def said(self) -> dict[str, Any]:
        """The arguments of `Client.push` that they stand for."""
        return {
            "version": self.version,
            "profile": self.profile,
            "description": self.description,
            "golden": read_golden([Path(self.golden)]) if self.golden else (),
            "timeout": self.timeout,
        }


def _number(key: str, text: str) -> int:
    if not (text.isascii() and text.isdecimal()):
        raise OptionError(f"{key}={text}: a version is a number")
    return int(text)


def _percent(key: str, text: str) -> Decimal:
    plain = re.fullmatch(r"([0-9]{1,3}(?:\.[0-9]{1,2})?)%?", text)
    if plain is None or Decimal(plain[1]) > 100:
        raise OptionError(f"{key}={text}: a percentage from 0 to 100, with up to two decimals")
    return Decimal(plain[1])


def _seconds(key: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < 1e6:
        raise OptionError(f"{key}={text}: seconds, above 0")
    return value
