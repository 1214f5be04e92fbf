"""What an operator allows backends to be told beside the lists that come with Nereid.

The lists name what neither loads code nor points at a file. Somebody who knows better what a
parameter does on their servers adds it; nobody who only sends models does.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

SETTING = "NEREID_ALLOW_PARAMETERS"

ACCELERATOR = "accelerator."
"""In front of an accelerator's name; without it a framework is meant."""

_ENTRY = re.compile(
    r"((?:accelerator\.)?[a-z][a-z0-9_]{0,63}):([A-Za-z][A-Za-z0-9_.-]{0,62}\*?|\*)"
)


@dataclass(frozen=True)
class AllowedParameters:
    """Pairs of whose parameter it is, and its name; one that ends with `*` is how names begin."""

    entries: frozenset[tuple[str, str]] = frozenset()

    @classmethod
    def of(cls, text: str) -> AllowedParameters:
        """Reads `onnx:session.use_env_allocators, accelerator.migraphx:*`.

        Raises:
            ValueError: an entry is none.
        """
        entries = set()
        for entry in filter(None, (part.strip() for part in text.split(","))):
            found = _ENTRY.fullmatch(entry)
            if found is None:
                raise ValueError(
                    f"{SETTING}: {entry!r} is neither FRAMEWORK:PARAMETER nor "
                    f"{ACCELERATOR}NAME:PARAMETER"
                )
            entries.add((found[1], found[2]))
        return cls(frozenset(entries))

    def __str__(self) -> str:
        return ",".join(f"{whose}:{name}" for whose, name in sorted(self.entries))

    def names(self, whose: str, parameter: str) -> bool:
        """True where that parameter of that framework or accelerator is allowed."""
        return any(
            of == whose and (name == parameter or _begins(parameter, name))
            for of, name in self.entries
        )

    def names_any_of(self, whose: str) -> bool:
        """True where something of that framework or accelerator is allowed."""
        return any(of == whose for of, _ in self.entries)

    def names_for_any_framework(self, parameter: str) -> bool:
        """True where the parameter is allowed for a framework: a profile is for each of them."""
        frameworks = {of for of, _ in self.entries if not of.startswith(ACCELERATOR)}
        return any(self.names(of, parameter) for of in frameworks)


def _begins(parameter: str, name: str) -> bool:
    return name.endswith("*") and parameter.startswith(name[:-1])


# One value for the process, set once at its start and never different within it: rules at every
# depth ask for it, and what it says is no part of what any of them is about.
_in_force = AllowedParameters()


def put_in_force(allowed: AllowedParameters) -> None:
    """From now on these are allowed in this process."""
    global _in_force
    _in_force = allowed


def in_force() -> AllowedParameters:
    """What is allowed in this process."""
    return _in_force


def how_to_allow(whose: str, parameter: str) -> str:
    """What an operator does who wants it all the same, in words."""
    return f"an operator allows it with {SETTING}={whose}:{parameter[:80]}"
