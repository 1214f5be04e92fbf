"""What a perf run asks for: read, told back, and turned into perf_analyzer's words."""

from __future__ import annotations

from typing import Any

import pytest

from control_plane.api.perf_schema import EXAMPLES
from control_plane.domain.perf.arguments import Place, arguments, deadline_s
from control_plane.domain.perf.input_data import decided, golden_input
from control_plane.domain.perf.read_request import read_request
from control_plane.domain.perf.request import Input, LoadKind, PerfRequest
from control_plane.domain.registry.golden import parse_golden
from control_plane.domain.signature import Signature, Tensor
from control_plane.domain.violations import InvalidInputError

BASE: dict[str, Any] = {"target": {"model": "digits", "version": 3}, "server": "lab-1"}
TOKENS = Tensor("tokens", "INT64", (-1, -1))
IMAGE = Tensor("image", "FP32", (-1, 2))
PLACE = Place("digits.v3.9f2c1a", "h:1", "r.csv", "e.json", "in.json", "times.txt")


def request(**more: Any) -> PerfRequest:
    return read_request({**BASE, **more})


@pytest.mark.parametrize(
    "document",
    [
        BASE,
        *EXAMPLES.values(),
        {**BASE, "intervals": ["1ms", "0.25ms"], "protocol": "http"},
        {**BASE, "sequences": {"length": 5, "concurrent": 2}, "request_rate": [0.5, 12.5]},
        {**BASE, "shapes": {"tokens": [128]}, "string_length": 4, "shared_memory": "system"},
    ],
)
def test_what_was_read_says_the_same_again(document: dict[str, Any]) -> None:
    once = read_request(document)
    assert read_request(once.to_document()) == once


@pytest.mark.parametrize(
    ("wrong", "pointer", "word"),
    [
        ({"target": None}, "/target", "measured"),
        ({"target": {"model": "a", "endpoint": "b"}}, "/target", "one of"),
        ({"target": {"model": "a"}}, "/target/version", "number"),
        ({"target": {"endpoint": "a", "version": 1}}, "/target/version", "routed"),
        ({"server": ""}, "/server", "name"),
        ({"callers": 3}, "/callers", "unknown"),
        ({"concurrency": []}, "/concurrency", "at least one"),
        ({"concurrency": [2, 1]}, "/concurrency", "rise"),
        ({"concurrency": [1.5]}, "/concurrency/0", "callers"),
        ({"concurrency": [float("nan")]}, "/concurrency/0", "callers"),
        ({"concurrency": {"from": 1}}, "/concurrency/to", "callers"),
        ({"concurrency": {"from": 9, "to": 1}}, "/concurrency/to", "below"),
        ({"concurrency": {"to": 1000}}, "/concurrency/step", "levels"),
        ({"concurrency": {"to": 64, "search": True}}, "/latency_limit", "limit"),
        ({"concurrency": [1], "request_rate": [1]}, "", "one of them"),
        ({"distribution": "poisson"}, "/distribution", "rate"),
        ({"intervals": ["fast"]}, "/intervals/0/it", "duration"),
        ({"window": "1h"}, "/window", "within"),
        ({"percentile": 98}, "/percentile", "50, 90, 95, 99"),
        ({"streaming": True, "protocol": "http"}, "/streaming", "gRPC"),
        ({"sequences": {}, "target": {"endpoint": "digits"}}, "/sequences", "version"),
        ({"shapes": {"tokens": [0]}}, "/shapes", "sizes"),
    ],
)
def test_what_is_wrong_is_told_at_its_place(wrong: dict[str, Any], pointer: str, word: str) -> None:
    with pytest.raises(InvalidInputError) as refused:
        request(**wrong)
    found = {v.pointer: v.detail for v in refused.value.violations}
    assert word in found[pointer]


def test_callers_become_arguments() -> None:
    asked = decided(request(concurrency=[8], window="500ms"), [IMAGE], golden=True, batched=True)
    words = " ".join(arguments(asked, 8, PLACE))
    assert "-m digits.v3.9f2c1a -u h:1 -i grpc --concurrency-range 8 -b 1 -p 500" in words
    assert "--input-data in.json" in words
    assert "--async" not in words
    assert "--async" in arguments(asked, 64, PLACE)
    assert deadline_s(asked) == 32.0


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (
            {"request_rate": [0.5], "distribution": "poisson"},
            "--request-rate-range 0.5 --request-distribution poisson",
        ),
        ({"intervals": ["1ms"]}, "--request-intervals times.txt"),
        ({"streaming": True}, "--streaming"),
        ({"shared_memory": "system"}, "--shared-memory system"),
        ({"shapes": {"tokens": [2, 3]}}, "--shape tokens:2,3"),
        ({"input": "zero"}, "--input-data zero"),
        (
            {"sequences": {"length": 7, "concurrent": 3}, "request_rate": [9]},
            "--sequence-length 7 --sequence-length-variation 20 --num-of-sequences 3",
        ),
    ],
)
def test_every_mode_has_its_words(asked: dict[str, Any], words: str) -> None:
    one = request(**asked)
    given = arguments(
        decided(one, [], golden=False, batched=False) if not one.shapes else one, 0.5, PLACE
    )
    assert words in " ".join(given)


def test_headers_are_given_where_memory_is_shared() -> None:
    place = Place("m", "h:1", "r", "e", headers={"nereid-shm": "key"})
    assert "-H nereid-shm:key" in " ".join(arguments(request(), 1, place))


@pytest.mark.parametrize(("golden", "kind"), [(True, Input.GOLDEN), (False, Input.RANDOM)])
def test_examples_are_sent_where_there_are_any(golden: bool, kind: Input) -> None:
    assert decided(request(), [IMAGE], golden=golden, batched=True).input is kind


@pytest.mark.parametrize(
    ("asked", "pointer"),
    [
        ({"input": "golden"}, "/input"),
        ({"input": "random"}, "/shapes"),
        ({"shapes": {"tokens": [1, 2]}}, "/shapes"),
        ({"shapes": {"texts": [1]}}, "/shapes"),
    ],
)
def test_what_cannot_be_sent_is_refused(asked: dict[str, Any], pointer: str) -> None:
    with pytest.raises(InvalidInputError) as refused:
        decided(request(**asked), [TOKENS], golden=False, batched=True)
    assert {v.pointer for v in refused.value.violations} == {pointer}


def test_sizes_that_vary_are_given_without_the_batch() -> None:
    asked = request(shapes={"tokens": [128]})
    assert decided(asked, [TOKENS], golden=True, batched=True).input is Input.RANDOM


def test_an_example_of_two_rows_is_two_entries() -> None:
    examples = parse_golden(
        [{"inputs": {"image": [[1, 2], [3, 4]]}, "outputs": {"y": [[1], [2]]}}],
        Signature((IMAGE,), (Tensor("y", "FP32", (-1, 1)),)),
    )
    batched = golden_input(examples, batched=True)
    assert batched == (
        '{"data":[{"image":{"content":[1,2],"shape":[2]}},{"image":{"content":[3,4],"shape":[2]}}]}'
    )
    whole = golden_input(examples, batched=False)
    assert whole == '{"data":[{"image":{"content":[1,2,3,4],"shape":[2,2]}}]}'


def test_a_run_that_says_nothing_has_a_few_callers() -> None:
    load = request().load
    assert (load.kind, load.values) == (LoadKind.CONCURRENCY, (1, 2, 4, 8))
