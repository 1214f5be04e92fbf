"""How sure answers are: counted by the router in a real Triton, and judged by an analysis."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import numpy as np

from control_plane.adapters.triton.metrics import HttpTritonMetrics
from control_plane.domain.analysis.evidence import ArmEvidence, Evidence
from control_plane.domain.analysis.looking import begin, look
from control_plane.domain.analysis.looks import Look, Phase
from control_plane.domain.analysis.template import read_template
from control_plane.telemetry.counters import ArmCounters, step
from control_plane.telemetry.samples import rows
from tests.integration.backends.arms import (
    BOUNDLESS_RESCUE,
    ONES,
    WIDE_SIGNATURE,
    Stage,
    arm_name,
    version_of,
)
from tests.support.triton import eventually

LOGITS = "confidence y scores logits"
HALF = [5000, 5000]


def seen(stage: Stage, endpoint: str, version: int = 1) -> int:
    return int(stage.metric("output_confidence_count", endpoint, version))


def sure(logits: np.ndarray) -> float:
    """The mean of the rows' likeliest."""
    weights = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return float((weights.max(axis=-1) / weights.sum(axis=-1)).mean())


def test_every_answer_counts_once_with_the_mean_of_its_rows(stage: Stage) -> None:
    stage.endpoint("sure", HALF, LOGITS)
    rng, sums = np.random.default_rng(3), {1: 0.0, 2: 0.0}
    for number in range(20):
        x = rng.normal(size=(1 + number % 3, 4)).astype(np.float32)
        answer = (stage.ask_http if number % 2 else stage.ask)("sure", x=x)
        sums[version_of(answer)] += sure(answer.as_numpy("y"))
    eventually(lambda: seen(stage, "sure", 1) + seen(stage, "sure", 2) == 20)
    for version, expected in sums.items():
        found = stage.metric("output_confidence_sum", "sure", version)
        assert abs(found - expected) < 1e-4


def test_what_is_no_answer_of_the_arms_own_share_is_not_counted(stage: Stage) -> None:
    stage.endpoint("own", [10_000, 0], "rule 1 parameter to equals two", LOGITS, BOUNDLESS_RESCUE)
    stage.ask("own", {"to": "two", "v2.fail": "INTERNAL"})  # the primary answers in its stead
    stage.refusal("own", {"v1.fail": "INTERNAL"})
    stage.ask("own", model_version="1")
    stage.ask("own", {"to": "two"})
    eventually(lambda: (seen(stage, "own", 1), seen(stage, "own", 2)) == (0, 1))
    stage.route("own", [10_000, 0], "confidence z scores logits")
    stage.ask("own")
    stage.route("own", [10_000, 0])
    stage.ask("own")
    eventually(lambda: stage.in_flight("own") == 0)
    assert (seen(stage, "own", 1), seen(stage, "own", 2)) == (0, 1)


def test_of_a_stream_the_first_response_counts_and_large_outputs_do_not(stage: Stage) -> None:
    stage.endpoint("flow", HALF, "confidence y scores probabilities", decoupled=True)
    assert len(stage.stream("flow", [{"responses": 3}] * 4)) == 12
    eventually(lambda: seen(stage, "flow", 1) + seen(stage, "flow", 2) == 4)
    stage.endpoint("wide", [10_000], LOGITS, signature=WIDE_SIGNATURE)
    for size in (1 << 18, (1 << 18) + 1):
        stage.ask("wide", x=np.ones(size, np.float32))
    eventually(lambda: stage.in_flight("wide") == 0)
    assert seen(stage, "wide") == 1, "up to 1 MiB"


def counted(stage: Stage, endpoint: str) -> dict[str, ArmCounters]:
    with closing(HttpTritonMetrics(stage.server.options.metrics_url)) as metrics:
        scrape = rows(metrics.scrape(), uuid4(), datetime.now(UTC))
    return {one.arm: one for one in scrape.counters if one.endpoint == endpoint}


def scraped(stage: Stage, endpoint: str, times: int) -> Iterator[dict[int, ArmEvidence]]:
    """What both arms answered between two scrapes, by version; the second doubles its logits."""
    rng = np.random.default_rng(5)
    before = counted(stage, endpoint)
    for asked in range(1, times + 1):
        for _ in range(100):
            stage.ask(endpoint, x=rng.normal(scale=0.5, size=ONES.shape).astype(np.float32))
        eventually(
            lambda n=asked: seen(stage, endpoint, 1) + seen(stage, endpoint, 2) == 100 * n + 2
        )
        now = counted(stage, endpoint)
        yield {
            version: ArmEvidence(confidence=step(before[name], now[name]).confidence)
            for version in (1, 2)
            if (name := arm_name(endpoint, version))
        }
        before = now


def judged(pairs: list[tuple[ArmEvidence, ArmEvidence]]) -> Look:
    metric = {"name": "sure", "kind": "confidence", "margin": 0.2, "q": 0.2}
    template, at = read_template({"metrics": [metric]}), datetime(2026, 1, 5, tzinfo=UTC)
    state = begin(template, at)
    for number, (candidate, baseline) in enumerate(pairs, start=1):
        evidence = Evidence(1, candidate, baseline)
        state, found = look(template, state, evidence, at + timedelta(seconds=number))
        if found.phase.ended:
            break
    return found


def test_a_version_that_is_less_sure_fails_and_one_that_is_as_sure_passes(stage: Stage) -> None:
    stage.endpoint("told", HALF, LOGITS)
    for _ in range(2):
        stage.ask("told")  # so that both arms have begun to count
    looks = list(scraped(stage, "told", 12))
    less = judged([(each[1], each[2]) for each in looks])
    assert less.phase is Phase.FAILED, less.reason
    assert "surer than the baseline's p20" in less.reason
    more = judged([(each[2], each[1]) for each in looks])
    assert more.phase is Phase.SUCCESSFUL, more.reason
    # The same version, beside itself a moment ago.
    halves = [(looks[i + 1][1], looks[i][1]) for i in range(len(looks) - 1)]
    alike = judged(halves)
    assert alike.phase is Phase.SUCCESSFUL, alike.reason
