"""The pages that ask before a perf run is cancelled or accepted, and before a tune is cancelled."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse

from control_plane import wiring
from control_plane.console import words
from control_plane.console.confirming import Question, ask
from control_plane.console.record_admin import RecordAdmin
from control_plane.tuning.accepting import accept_perf_run
from control_plane.tuning.models import PerfRun, Tune
from control_plane.tuning.services import cancel_perf_run
from control_plane.tuning.tunes import cancel_tune


def cancel_page(pages: RecordAdmin, request: HttpRequest, run: PerfRun) -> HttpResponse:
    """Ends a run."""
    question = Question(
        title="Cancel",
        heading=f"Cancel perf run {run.pk} of {words.served(run.target.to_document())}?",
        consequences=[
            "Its load stops within seconds.",
            "The levels that it has measured stay.",
            f"What was loaded for it alone is unloaded from {run.server_name}.",
        ],
        confirm="Cancel the run",
        obstacle=_over(run),
    )

    def act() -> str:
        actor = request.user.get_username()
        clock, queue = wiring.clock(), wiring.queue()
        done = cancel_perf_run(number=run.pk, actor=actor, clock=clock, queue=queue)
        return f"Perf run {run.pk} is {done.state}."

    return ask(pages, request, run, question, act)


def accept_page(pages: RecordAdmin, request: HttpRequest, run: PerfRun) -> HttpResponse:
    """Makes a run what later ones are held against."""
    question = Question(
        title="Accept",
        heading=f"Accept perf run {run.pk} of {words.served(run.target.to_document())}?",
        consequences=[
            f"Later versions of {run.name} are held against it, until another run is accepted.",
            "An analysis with a metric of the kind perf_regression fails what is slower by more "
            "than its tolerance, at the levels of load that both runs have.",
        ],
        confirm="Accept the run",
    )

    def act() -> str:
        accept_perf_run(number=run.pk, actor=request.user.get_username(), clock=wiring.clock())
        return f"Perf run {run.pk} is accepted."

    return ask(pages, request, run, question, act)


def cancel_tune_page(pages: RecordAdmin, request: HttpRequest, tune: Tune) -> HttpResponse:
    """Ends a tune."""
    question = Question(
        title="Cancel",
        heading=f"Cancel tune {tune.pk} of {tune.target}?",
        consequences=[
            "The trial that it is at ends within seconds, and no further one begins.",
            "What it has measured stays.",
            f"What was loaded for it alone is unloaded from {tune.server_name}.",
        ],
        confirm="Cancel the tune",
        obstacle=_over(tune),
    )

    def act() -> str:
        actor = request.user.get_username()
        done = cancel_tune(number=tune.pk, actor=actor, clock=wiring.clock(), queue=wiring.queue())
        return f"Tune {tune.pk} is {done.state}."

    return ask(pages, request, tune, question, act)


def _over(record: PerfRun | Tune) -> str:
    return f"It is over: it {record.state}." if record.over else ""
