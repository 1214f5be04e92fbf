"""What the parts of a serving profile are made of: frozen, strict, and documented field by field.

The names are those of Triton's `model_config.proto`; what is written for Triton is written here.
Descriptions become the reference of profiles and the OpenAPI schema.
"""

from __future__ import annotations

from typing import Annotated, Any

from annotated_types import Ge, Le
from pydantic import (
    BaseModel,
    ConfigDict,
    PlainSerializer,
    SerializationInfo,
    Strict,
    StringConstraints,
)

_MAX_INT32 = (1 << 31) - 1
_MAX_UINT32 = (1 << 32) - 1
_MAX_INT64 = (1 << 63) - 1

FOR_TRITON = "triton"
"""The context in which a section is written as a configuration and not as a profile's document."""


def _int64(value: int, info: SerializationInfo) -> int | str:
    """Protobuf's JSON has 64-bit integers as texts, and names are digests of what is written."""
    return str(value) if info.context == FOR_TRITON else value


_AsText = PlainSerializer(_int64)

Natural = Annotated[int, Strict(), Ge(0), Le(_MAX_INT32)]
Positive = Annotated[int, Strict(), Ge(1), Le(_MAX_INT32)]
Natural32 = Annotated[int, Strict(), Ge(0), Le(_MAX_UINT32)]
Natural64 = Annotated[int, Strict(), Ge(0), Le(_MAX_INT64), _AsText]
Microseconds = Natural64
Fraction = Annotated[float, Ge(0.0), Le(1.0)]
Flag = Annotated[bool, Strict()]
Word = Annotated[str, Strict(), StringConstraints(min_length=1, max_length=255)]
Dim = Annotated[int, Strict(), Ge(-1), Le(_MAX_INT64), _AsText]


class Section(BaseModel):
    """One message of the model configuration."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def values(self, **chosen: Any) -> dict[str, Any]:
        """As protobuf's JSON has it, without what is left at Triton's own default.

        `chosen` goes to `model_dump`.
        """
        chosen = {"exclude_defaults": True} | chosen
        return self.model_dump(mode="json", by_alias=True, context=FOR_TRITON, **chosen)
