"""Who validates an upload, how often, and what counts as a no."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from control_plane.audit.models import AuditEvent
from control_plane.ports.inspection import InspectionFailedError, InvalidModelError
from control_plane.ports.repository import ArtifactMissingError
from control_plane.registry.models import Artifact, Model, ModelVersion, VersionState
from control_plane.registry.validation import (
    CLAIM_EXPIRY,
    MAX_ATTEMPTS,
    release_claims,
    sweep_validations,
    validate_version,
)
from tests.support.fakes import FakeClock, FakeQueue
from tests.support.plans import DIGITS

pytestmark = pytest.mark.django_db


class Store:
    """Holds every artifact, or none."""

    def __init__(self, *, empty: bool = False) -> None:
        self._empty = empty

    @contextmanager
    def held(self, sha256: str) -> Iterator[Path]:
        if self._empty:
            raise ArtifactMissingError(f"no artifact with sha256 {sha256}")
        yield Path(sha256)


class Inspector:
    """Does what it is told at each load, in order."""

    def __init__(self, *outcomes: Exception | None) -> None:
        self._outcomes = list(outcomes)
        self.loads = 0
        self.unlimited: tuple[str, ...] = ()

    def check_loads(
        self, files: Mapping[str, AbstractContextManager[Path]], *_: Any
    ) -> tuple[str, ...]:
        self.loads += 1
        for file in files.values():
            with file:
                pass
        self.during()
        if outcome := self._outcomes.pop(0):
            raise outcome
        return self.unlimited

    def during(self) -> None:
        """What happens meanwhile."""


@pytest.fixture
def clock() -> FakeClock:
    clock = FakeClock()
    clock.pass_time(days=10_000)  # after the row, which the database dates
    return clock


@pytest.fixture
def version() -> ModelVersion:
    return ModelVersion.objects.create(
        model=Model.objects.create(name="digits"),
        number=1,
        framework="onnx",
        artifact=Artifact.objects.create(sha256="0" * 64, size=1),
        filename="model.onnx",
        profile="realtime",
        signature=DIGITS.to_document(),
    )


def validate(version: ModelVersion, inspector: Inspector, clock: FakeClock, **store: bool) -> str:
    """The state afterwards."""
    found = validate_version(
        version_id=version.id,
        store=Store(**store),  # type: ignore[arg-type]
        inspector=inspector,
        clock=clock,
    )
    return found.state


def swept(clock: FakeClock) -> list[UUID]:
    queue = FakeQueue()
    assert sweep_validations(clock=clock, queue=queue) == len(queue.validations)
    return queue.validations


def test_the_runtimes_no_is_the_last_word(version: ModelVersion, clock: FakeClock) -> None:
    refusal = Inspector(InvalidModelError("opset 99 is not known"))
    assert validate(version, refusal, clock) == VersionState.REJECTED
    version.refresh_from_db()
    assert version.state_reason == "opset 99 is not known"
    assert swept(clock) == []


def test_what_could_not_be_limited_is_told(version: ModelVersion, clock: FakeClock) -> None:
    inspector = Inspector(None)
    inspector.unlimited = ("a limit on which files it may read",)
    assert validate(version, inspector, clock) == VersionState.READY
    version.refresh_from_db()
    assert version.state_reason == "checked without a limit on which files it may read"


def test_an_inspection_that_ends_nowhere_is_tried_again(
    version: ModelVersion, clock: FakeClock
) -> None:
    inspector = Inspector(InspectionFailedError("reading the file took over 180 s"), None)
    assert validate(version, inspector, clock) == VersionState.VALIDATING
    version.refresh_from_db()
    assert "attempt 1 of 3" in version.state_reason
    assert "took over 180 s" in version.state_reason
    assert swept(clock) == [version.id]
    assert validate(version, inspector, clock) == VersionState.READY
    version.refresh_from_db()
    assert version.state_reason == ""


@pytest.mark.parametrize("empty", [False, True])
def test_but_not_for_ever(version: ModelVersion, clock: FakeClock, empty: bool) -> None:
    inspector = Inspector(*[InspectionFailedError("ended by SIGKILL")] * MAX_ATTEMPTS)
    states = [validate(version, inspector, clock, empty=empty) for _ in range(MAX_ATTEMPTS)]
    assert states == ["validating"] * (MAX_ATTEMPTS - 1) + ["rejected"]
    version.refresh_from_db()
    assert "could not be checked in 3 attempts" in version.state_reason
    assert AuditEvent.objects.filter(action="version.rejected").count() == 1


def test_a_version_is_validated_once_at_a_time(version: ModelVersion, clock: FakeClock) -> None:
    inspector = Inspector(None)
    inside: list[str] = []

    def during() -> None:
        inside.append(validate(version, inspector, clock))
        inside.extend(map(str, swept(clock)))

    inspector.during = during  # type: ignore[method-assign]
    assert validate(version, inspector, clock) == VersionState.READY
    assert inside == ["validating"]
    assert inspector.loads == 1


def test_a_claim_is_lost_when_an_inspection_would_have_ended(
    version: ModelVersion, clock: FakeClock
) -> None:
    ModelVersion.objects.update(validating_since=clock.now(), validation_attempts=1)
    clock.pass_time(seconds=CLAIM_EXPIRY.total_seconds() - 1)
    assert swept(clock) == []
    assert validate(version, Inspector(), clock) == VersionState.VALIDATING
    clock.pass_time(seconds=2)
    assert swept(clock) == [version.id]
    assert validate(version, Inspector(None), clock) == VersionState.READY


def test_who_lost_the_claim_says_nothing_more(version: ModelVersion, clock: FakeClock) -> None:
    late = Inspector(InvalidModelError("too late"))

    def during() -> None:
        taken = clock.now() + timedelta(seconds=1)
        ModelVersion.objects.update(validating_since=taken)

    late.during = during  # type: ignore[method-assign]
    assert validate(version, late, clock) == VersionState.VALIDATING


def test_a_worker_that_starts_takes_up_what_a_killed_one_left(
    version: ModelVersion, clock: FakeClock
) -> None:
    ModelVersion.objects.update(validating_since=clock.now(), validation_attempts=1)
    queue = FakeQueue()
    assert release_claims(queue=queue) == 1
    assert queue.validations == [version.id]
    assert validate(version, Inspector(None), clock) == VersionState.READY
    assert release_claims(queue=queue) == 0
