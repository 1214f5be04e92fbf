"""What a rollout's templates look at has to be there before it begins."""

from __future__ import annotations

from typing import Any

import pytest

from control_plane.domain.analysis.template import read_template
from control_plane.domain.rollout.evidence import missing_evidence
from control_plane.domain.routing.document import parse_policy

SURE = {"name": "sure", "kind": "confidence"}
KEYS = {"name": "errors", "kind": "error_rate", "unit": "key"}
NAMED = {"confidence": {"output": "y"}}
STICKY = {"sticky": {"key": "header:x-user-id"}}


@pytest.mark.parametrize(
    ("metric", "policy", "said"),
    [
        (SURE, {}, "has to name the output"),
        (SURE, NAMED, None),
        ({**SURE, "required": False}, {}, None),
        (KEYS, {}, "counts sticky keys"),
        (KEYS, NAMED, "counts sticky keys"),
        (KEYS, STICKY, None),
        ({"name": "errors", "kind": "error_rate"}, {}, None),
    ],
)
def test_what_is_missing_is_said(
    metric: dict[str, Any], policy: dict[str, Any], said: str | None
) -> None:
    arms = [{"model": "digits", "version": 1, "weight": 100}]
    template = read_template({"metrics": [{"name": "other", "kind": "error_rate"}, metric]})
    found = missing_evidence(template, parse_policy({"arms": arms, **policy}))
    assert len(found) == (said is not None)
    assert said is None or (said in found[0] and metric["name"] in found[0])
