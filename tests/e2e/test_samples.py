"""The samples that come with Nereid, on a running stack: pushed, deployed, asked."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from nereid import Client
from nereid.inference import Predictor
from stack.sample_set import read_sample_sets
from stack.samples import SAMPLES, Samples, table_of

SETS = {one.folder.name: one for one in read_sample_sets(SAMPLES)}


@pytest.mark.long  # transforms, pipelines and streams have their own tests in every run
@pytest.mark.parametrize("name", SETS)
def test_a_sample_answers_what_it_should_and_is_left_alone_the_second_time(
    serving_stack, name: str
) -> None:
    said = io.StringIO()
    console = Console(file=said, width=160)
    with (
        Client(serving_stack.api, serving_stack.token) as client,
        Predictor(serving_stack.stack["triton"]["grpc"]) as predictor,
    ):
        samples = Samples(client, predictor, console)
        answered = samples.bring_up(SETS[name])
        generations = {e.name: e.generation for e in client.endpoints()}
        versions = {m.name: len(client.versions(m.name)) for m in client.models()}
        samples.bring_up(SETS[name])
        assert {e.name: e.generation for e in client.endpoints()} == generations
        assert {m.name: len(client.versions(m.name)) for m in client.models()} == versions
    console.print(table_of(answered))
    for one in answered:
        assert one.endpoint in said.getvalue()
        assert one.arms
