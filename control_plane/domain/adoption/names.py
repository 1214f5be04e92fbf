"""What a model of somebody else's repository may be called here."""

from __future__ import annotations

import re
from collections.abc import Collection

from control_plane.domain.names import is_public_name

_LONGEST = 63


def suggested_name(name: str, taken: Collection[str] = ()) -> str:
    """A public name near the given one, which stays as it is where it is one and nobody has it.

    >>> suggested_name("ResNet_50.onnx"), suggested_name("resnet", {"resnet"})
    ('resnet_50-onnx', 'resnet-2')
    """
    if is_public_name(name) and name not in taken:
        return name
    plain = re.sub(r"[^a-z0-9_-]+", "-", name.lower()).strip("-_")[:_LONGEST].strip("-_") or "model"
    found, number = plain, 1
    while found in taken:
        number += 1
        end = f"-{number}"
        found = plain[: _LONGEST - len(end)] + end
    return found
