"""Reading bodies: JSON, within limits, and only what can be stored."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import IO, Any

from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from rest_framework.parsers import BaseParser

from control_plane.domain.stored_json import check_storable
from control_plane.domain.violations import InvalidInputError, Violation


class StrictJSONParser(BaseParser):
    """JSON as the standard has it; Django's limit for form data holds here too."""

    media_type = "application/json"

    def parse(
        self,
        stream: IO[Any],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        limit = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
        # Django holds the limit in `request.body`, which nobody reads when a parser streams.
        raw = stream.read(limit + 1)
        if len(raw) > limit:
            raise RequestDataTooBig(f"a JSON body has at most {limit} bytes")
        return parse_json(raw)


def parse_json(raw: str | bytes, where: str = "") -> Any:
    """The document in a text.

    Raises:
        InvalidInputError: it is not JSON, or holds what cannot be stored; `where` is the JSON
            pointer of the text itself.
    """
    try:
        text = raw.decode() if isinstance(raw, bytes) else raw
        document = json.loads(text, parse_constant=_refuse_constant)
    except RecursionError:
        raise InvalidInputError([Violation(where, "too_deep", "nested too deep")]) from None
    except ValueError as error:
        raise InvalidInputError([Violation(where, "json", f"not JSON: {error}")]) from error
    check_storable(document, where)
    return document


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a number in JSON")
