"""Trying a template on simulated rollouts, before it is used."""

from __future__ import annotations

from dataclasses import dataclass
from threading import Lock
from typing import Any, cast

from control_plane.analysis.selectors import check_templates, get_template
from control_plane.domain.analysis.metric import Kind
from control_plane.domain.analysis.scenario import read_scenario, scenario_document
from control_plane.domain.analysis.simulating import Simulated, simulate
from control_plane.domain.analysis.template import Template, read_template, to_document
from control_plane.domain.violations import InvalidInputError, Violation

DEFAULT_RUNS = 100
MAX_WORK = 400
"""Runs times metrics that decide: a few seconds of one core."""

_ONE = Lock()


class BusyError(RuntimeError):
    """This process simulates for somebody else: ask again in some seconds."""


@dataclass(frozen=True)
class Trial:
    """A template, what it was tried on, and how the rollouts ended."""

    template: dict[str, Any]
    scenario: dict[str, Any]
    outcome: Simulated


def try_template(*, name: str, document: object, scenario: object, runs: int) -> Trial:
    """Plays so many rollouts of a template; nothing is written.

    Args:
        name: of a template that is there, where there is no document.

    Raises:
        InvalidInputError: there is no template of that name, the document or the scenario breaks a
            rule, or it would take too long.
        BusyError: another simulation runs in this process.
    """
    template = wanted_template(name, document)
    story = within("scenario", read_scenario, scenario)
    deciding = sum(metric.required for metric in template.metrics)
    if runs * deciding > MAX_WORK:
        detail = (
            f"{runs} rollouts of {deciding} metrics that decide: at most {MAX_WORK // deciding} "
            "at once, others wait meanwhile"
        )
        raise InvalidInputError([Violation("/runs", "range", detail)])
    if not _ONE.acquire(blocking=False):
        raise BusyError("another simulation is running: try again in a few seconds")
    try:
        outcome = simulate(template, story, runs)
    finally:
        _ONE.release()
    return Trial(to_document(template), dict(scenario_document(story)), outcome)


def wanted_template(name: str, document: object) -> Template:
    """The template of a name, or of a document where there is one.

    Raises:
        InvalidInputError: there is none of that name, or the document breaks a rule.
    """
    if document is not None:
        return _complete(cast(Template, within("document", read_template, document)))
    check_templates([name], "/template")
    return _complete(get_template(name).template)


def _complete(template: Template) -> Template:
    """Refuses what only a rollout knows: whose service level is meant."""
    for metric in template.metrics:
        if metric.kind is Kind.BURN_RATE and metric.objective is None:
            detail = f"{metric.name!r} has no objective of its own: put one in the template first"
            raise InvalidInputError([Violation("/template", "required", detail)])
    return template


def within(field: str, read: Any, document: object) -> Any:
    """What is read of a field; what is wrong with it is told of where it stands in the body."""
    try:
        return read(document)
    except InvalidInputError as error:
        moved = [Violation(f"/{field}{v.pointer}", v.code, v.detail) for v in error.violations]
        raise InvalidInputError(moved) from None
