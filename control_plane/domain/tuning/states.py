"""The states of a tune and of its trials."""

from __future__ import annotations

from enum import StrEnum


class TuneState(StrEnum):
    """Queued for its server; at work; being cancelled; and the ends."""

    QUEUED = "queued"
    RUNNING = "running"
    CANCELLING = "cancelling"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


AT_WORK = (TuneState.RUNNING, TuneState.CANCELLING)
"""Those that have their server to themselves."""

ENDED = (TuneState.SUCCEEDED, TuneState.FAILED, TuneState.CANCELLED)


class TrialState(StrEnum):
    """A trial that is being measured, that was, and that could not be."""

    RUNNING = "running"
    MEASURED = "measured"
    FAILED = "failed"


class TrialKind(StrEnum):
    """What a trial is for: how it serves now; the service time of batches; the model's optimum;
    what the model is unsure of; and once more what is to be chosen."""

    BASELINE = "baseline"
    CALIBRATION = "calibration"
    SEED = "seed"
    SEARCH = "search"
    CONFIRMATION = "confirmation"
