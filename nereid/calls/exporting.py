"""Writing plain Triton repositories: first what is in one, then the files."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import httpx

from nereid.calls.exporting_pipelines import (
    Pipelines,
    export_version,
    exported_pipelines,
    newest_revision,
)
from nereid.calls.pipelines import pipelines
from nereid.calls.registry import download, models, versions
from nereid.calls.traffic import endpoints, policy
from nereid.errors import ProblemError
from nereid.exporting import (
    ExportedModel,
    ExportedVersion,
    ExportError,
    ExportPlan,
    Names,
    directories,
    write_config,
    write_ensemble,
    write_files,
)
from nereid.steps import Steps, Work
from nereid.words import policy_in_words

Document = Mapping[str, Any]

_ALONE = ("arms", "rules", "shadow")
"""Parts of a policy that do something where one arm has all of the traffic."""


def plan_export(targets: Sequence[str] = (), *, everything: bool = False) -> Steps[ExportPlan]:
    """What a plain Triton repository of these would have, and what it cannot say.

    Args:
        targets: endpoints, models (all of their ready versions) and versions as `digits:2`.
        everything: all endpoints and all models.

    Raises:
        ExportError: there is nothing to export, or no such target.
    """
    served, wanted, chosen = yield from _sorted_out(targets, everything)
    names = Names(kept={*served, *wanted, *chosen})
    notes: list[str] = []
    made: list[ExportedModel] = []
    for name, document in served.items():
        found, told = yield from _endpoint(name, document, wanted, chosen, names)
        made += found
        notes += told
    for model, numbers in wanted.items():
        if numbers:
            exported = []
            for number in sorted(numbers):
                exported.append((yield from export_version(model, number)))
            taken = model in names.taken
            found = directories(model, exported, names, own=True)
            if taken:
                notes.append(f"the name {model} is an endpoint's: the model is {found[0].name}")
            made += found
    ensembles, told = yield from exported_pipelines(chosen, made, names)
    if not made:
        raise ExportError("there is nothing to export: no version is ready")
    return ExportPlan(tuple(made), (*notes, *told), tuple(ensembles))


def write_export(
    plan: ExportPlan, folder: Path, *, on_model: Callable[[ExportedModel], None] | None = None
) -> Steps[None]:
    """Writes the directories into a folder, with every version's files.

    Raises:
        ChecksumError, ExportError: a download is not what the server says.
    """
    for model in plan.models:
        if on_model:
            on_model(model)
        target = folder / model.name
        yield Work(partial(write_config, target, model.config))
        for version in model.versions:
            sent = folder / ".download"
            yield from download(version.model, version.number, sent)
            yield Work(partial(write_files, target, version, sent))
            sent.unlink()
    for ensemble in plan.ensembles:
        target = folder / ensemble.name
        yield Work(partial(write_config, target, ensemble.config))
        yield Work(partial(write_ensemble, target, ensemble))


def _sorted_out(
    targets: Sequence[str], everything: bool
) -> Steps[tuple[dict[str, Document], dict[str, set[int]], Pipelines]]:
    """The endpoints with their policies, the models with their versions, and the pipelines."""
    served: dict[str, Document] = {}
    wanted: dict[str, set[int]] = {}
    found: Document | None
    chosen: Pipelines = {}
    if everything:
        all_pipelines = yield from pipelines()
        chosen = {known.name: (known.name, known.revision) for known in all_pipelines}
        all_endpoints = yield from endpoints()
        served = {endpoint.name: endpoint.policy or {} for endpoint in all_endpoints}
        all_models = yield from models()
        for one in all_models:
            wanted[one.name] = yield from _ready(one.name)
    for target in targets:
        model, colon, number = target.partition(":")
        if colon:
            if not number.isdecimal():
                raise ExportError(f"{target!r} is not MODEL:VERSION with a number")
            wanted.setdefault(model, set()).add(int(number))
            continue
        found = yield from _policy_of(target)
        if found is not None:
            served[target] = found
            continue
        revision = yield from newest_revision(target)
        if revision is not None:
            chosen[target] = (target, revision)
            continue
        numbers = yield from _ready(target)
        if not numbers:
            raise ExportError(
                f"there is no endpoint or pipeline {target!r}, and no model with a ready version"
            )
        wanted.setdefault(target, set()).update(numbers)
    return served, wanted, chosen


def _policy_of(name: str) -> Steps[Document | None]:
    try:
        return (yield from policy(name)).document
    except ProblemError as error:
        if error.status != httpx.codes.NOT_FOUND:
            raise
        return None


def _ready(model: str) -> Steps[set[int]]:
    try:
        found = yield from versions(model, state="ready")
    except ProblemError as error:
        if error.status != httpx.codes.NOT_FOUND:
            raise
        return set()
    return {one.number for one in found}


def _target(arm: Document) -> str:
    if arm.get("pipeline"):
        return f"{arm['pipeline']}:{arm['revision']}"
    return f"{arm['model']}:{arm['version']}"


def _endpoint(
    name: str,
    document: Document,
    wanted: dict[str, set[int]],
    chosen: Pipelines,
    names: Names,
) -> Steps[tuple[list[ExportedModel], list[str]]]:
    """The directory that bears an endpoint's name, and what a plain Triton cannot do of it."""
    arms = [arm for arm in document.get("arms") or () if arm.get("weight") or arm.get("primary")]
    if not arms:
        return [], [f"the endpoint {name} serves nothing: it is left out"]
    primary = next((arm for arm in arms if arm.get("primary")), arms[0])
    notes = _untold(name, document, arms, primary)
    for arm in arms:
        if arm.get("pipeline"):
            other = f"{name}-{arm.get('name') or arm['revision']}"
            own = name if arm is primary else _unchosen(other, chosen, names)
            chosen[own] = (str(arm["pipeline"]), int(arm["revision"]))
    others = [arm for arm in arms if arm is not primary and not arm.get("pipeline")]
    found = []
    if not primary.get("pipeline"):
        found += yield from _primary(name, primary, wanted, names)
    for arm in others:
        version = yield from _of_arm(name, arm)
        found += directories(f"{name}-{arm.get('name') or arm['version']}", [version], names)
    return found, notes


def _of_arm(name: str, arm: Document) -> Steps[ExportedVersion]:
    """An arm's version, served as the arm has it."""
    own = (name, str(arm["name"])) if arm.get("overrides") else None
    return (yield from export_version(str(arm["model"]), int(arm["version"]), arm=own))


def _unchosen(name: str, chosen: Pipelines, names: Names) -> str:
    """The name, or one behind it that no pipeline is to have: each is exported."""
    found, number = name, 1
    while found in chosen or not names.is_free(found):
        number += 1
        found = f"{name}-{number}"
    return found


def _primary(
    name: str, primary: Document, wanted: dict[str, set[int]], names: Names
) -> Steps[list[ExportedModel]]:
    """The directory of the endpoint's name, with the version that answers."""
    model, number = str(primary["model"]), int(primary["version"])
    numbers = {number}
    if model == name:
        # Its model's other versions lie beside the one that answers, where they are served alike.
        numbers |= wanted.pop(model, set())
    exported = []
    for one in sorted(numbers - {number}):
        exported.append((yield from export_version(model, one)))
    exported.append((yield from _of_arm(name, primary)))
    chosen = next(one for one in exported if one.number == number)
    return _around(name, chosen, exported, names)


def _around(
    name: str, chosen: ExportedVersion, exported: Sequence[ExportedVersion], names: Names
) -> list[ExportedModel]:
    """The endpoint's directory with the version that answers, and those that are unlike it."""
    found = directories(name, exported, names, own=True)
    [home] = [one for one in found if chosen in one.versions]
    if home.name != name:  # a newer version has the name: it goes where this one is
        other = next(one for one in found if one.name == name)
        found[found.index(other)] = ExportedModel(home.name, other.versions, other.notes)
    found[found.index(home)] = ExportedModel(name, home.versions, home.notes, chosen.number)
    return found


def _untold(
    name: str, document: Document, arms: Sequence[Document], primary: Document
) -> list[str]:
    """What of a policy a plain Triton has no word for."""
    notes = []
    if len(arms) > 1:
        shares = ", ".join(f"{_target(arm)} {arm.get('weight') or 0:g} %" for arm in arms)
        notes.append(
            f"{name} splits its traffic ({shares}): here {_target(primary)} answers all of it, and "
            "the others are models of their own"
        )
    # With one arm there is nothing to choose between, or to fall back to.
    parts = document if len(arms) > 1 else {k: document[k] for k in _ALONE if k in document}
    notes += [
        f"{name}: {said.label} ({said.text}) is the router's, and is left out"
        for said in policy_in_words(parts)
        if not said.off and said.text != "weighted"
    ]
    return notes
