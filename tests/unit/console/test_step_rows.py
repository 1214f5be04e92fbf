"""Steps as people type them, and as a document has them."""

from __future__ import annotations

import pytest
from django.http import QueryDict

from control_plane.console.step_rows import StepRow, rows_of, sent_rows
from control_plane.domain.rollout.document import read_rollout
from control_plane.domain.rollout.read_steps import step_document
from control_plane.domain.violations import InvalidInputError

STEPS = (
    ("setWeight", "5"),
    ("setWeight", "12,5 %"),
    ("pause", ""),
    ("pause", "90s"),
    ("analysis", ""),
    ("analysis", "default, strict"),
    ("approval", ""),
    ("setShadow", "10"),
    ("setRule", "header:x-tenant-id in acme, beta"),
    ("setRule", "header:x-tenant-id equals acme and parameter:plan prefix pro"),
    ("setRule", ""),
)


def test_what_is_typed_is_what_the_domain_reads_and_shows_again() -> None:
    rows = [StepRow(kind, value) for kind, value in STEPS]
    document = {
        "endpoint": "digits",
        "to": {"model": "digits", "version": 2},
        "strategy": {"canary": {"steps": [row.document() for row in rows]}},
    }
    steps = read_rollout(document).strategy.steps
    again = rows_of(step_document(step) for step in steps)
    assert [row.kind for row in again] == [kind for kind, _ in STEPS]
    assert [row.value for row in again][:4] == ["5", "12.5", "", "90s"]
    assert [row.value for row in again][4:6] == ["default", "default, strict"]
    assert again[8].value == "header:x-tenant-id in acme, beta"
    assert again[9].document() == rows[9].document()


@pytest.mark.parametrize(
    ("kind", "value", "wrong"),
    [
        ("setWeight", "much", "/setWeight"),
        ("setWeight", "", "/setWeight"),
        ("pause", "long", "/pause/duration"),
        ("setRule", "whoever", "/setRule/when"),
        ("nothing", "1", ""),
    ],
)
def test_what_cannot_be_read_is_refused_by_the_domain_at_its_step(
    kind: str, value: str, wrong: str
) -> None:
    document = {
        "endpoint": "digits",
        "to": {"model": "digits", "version": 2},
        "strategy": {"canary": {"steps": [StepRow(kind, value).document()]}},
    }
    with pytest.raises(InvalidInputError) as refused:
        read_rollout(document)
    pointers = [violation.pointer for violation in refused.value.violations]
    assert all(p.startswith(f"/strategy/canary/steps/0{wrong}") for p in pointers), pointers


def test_rows_are_sent_in_their_order() -> None:
    form = QueryDict("step.kind=setWeight&step.value=5&step.kind=approval&step.value=")
    assert [(row.kind, row.value) for row in sent_rows(form)] == [
        ("setWeight", "5"),
        ("approval", ""),
    ]
