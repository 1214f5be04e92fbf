"""Which servers an endpoint is placed on, and why not on the others."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control_plane.domain.placement.labels import check_labels, parse_labels
from control_plane.domain.placement.memory import Footprint, Room, estimated, rooms
from control_plane.domain.placement.placing import Candidate, Placing, Standing, place
from control_plane.domain.placement.wanted import (
    EVERYWHERE,
    Look,
    Requirement,
    Spread,
    Wanted,
    parse_wanted,
)
from control_plane.domain.violations import InvalidInputError

GIB = 1 << 30
TWO = Wanted(replicas=2)


def server(name: str, **facts: object) -> Candidate:
    labels = {key: str(facts.pop(key)) for key in ("zone", "tier") if key in facts}
    return replace(Candidate(name, labels), **facts)


def memory(limit: int | None, taken: int, needs: int) -> tuple[Room, ...]:
    return (Room("memory", limit, taken, needs),)


def why(placing: Placing, name: str) -> str:
    return next(one.reason for one in placing.said if one.server == name)


def standing(placing: Placing, name: str) -> Standing:
    return next(one.standing for one in placing.said if one.server == name)


def test_without_a_word_it_is_on_every_server_also_on_one_that_is_away() -> None:
    placing = place([server("b"), server("a", alive=False)], EVERYWHERE, [])

    assert placing.servers == ("a", "b")
    assert not placing.problem


def test_a_cordoned_server_keeps_what_it_has_and_gets_nothing_new() -> None:
    fleet = [server("a"), server("b", cordoned=True)]

    assert place(fleet, EVERYWHERE, ["a", "b"]).servers == ("a", "b")
    new = place(fleet, EVERYWHERE, ["a"])
    assert new.servers == ("a",)
    assert "cordoned" in why(new, "b")


def test_what_is_drained_moves_once_another_can_take_it() -> None:
    fleet = [server("a", draining=True), server("b"), server("c", cordoned=True)]

    moved = place(fleet, Wanted(replicas=1), ["a"])
    assert moved.servers == ("b",)
    assert standing(moved, "a") is Standing.LEAVING

    stuck = place([fleet[0], fleet[2]], EVERYWHERE, ["a"])
    assert stuck.servers == ("a",), "the old traffic goes on"
    assert standing(stuck, "a") is Standing.HELD
    assert "a: is being drained" in stuck.problem
    assert "c: is cordoned" in stuck.problem


def test_replicas_lie_apart_and_where_that_is_required_never_together() -> None:
    fleet = [server("a", zone=1), server("b", zone=1), server("c", zone=2)]

    assert place(fleet, Wanted(replicas=2, spread=Spread("zone")), []).servers == ("a", "c")
    assert place(fleet, Wanted(replicas=3, spread=Spread("zone")), []).servers == ("a", "b", "c")
    required = place(fleet, Wanted(replicas=3, spread=Spread("zone", True)), [])
    assert required.servers == ("a", "c")
    assert "2 of 3 replicas" in required.problem
    assert "zone 1 has one already" in why(required, "b")


def test_the_tightest_hole_that_is_large_enough_is_filled() -> None:
    fleet = [
        server("roomy", rooms=memory(16 * GIB, 0, 2 * GIB)),
        server("tight", rooms=memory(8 * GIB, 5 * GIB, 2 * GIB)),
        server("full", rooms=memory(8 * GIB, 7 * GIB, 2 * GIB)),
    ]
    placing = place(fleet, Wanted(replicas=1), [])

    assert placing.servers == ("tight",)
    assert why(placing, "full") == "needs 2.0 GiB of memory, and 1.0 GiB of 8.0 GiB are free"
    assert why(placing, "roomy") == "not needed: 1 replica is placed"


def test_where_nothing_is_known_of_memory_the_fewest_endpoints_decide() -> None:
    assert place(
        [server("a", endpoints=3), server("b", endpoints=1)], Wanted(replicas=1), []
    ).servers == ("b",)


def test_fewer_replicas_let_go_and_more_take_nothing_away() -> None:
    fleet = [server(name) for name in "abcd"]

    assert place(fleet, TWO, ["b", "c", "d"]).servers == ("b", "c")
    assert place(fleet, Wanted(replicas=3), ["c", "d"]).servers == ("a", "c", "d")


def test_of_those_that_are_too_many_what_answers_stays() -> None:
    one = Wanted(replicas=1)
    away, cordoned = server("a", alive=False), server("b", cordoned=True)
    assert place([away, cordoned], one, ["a", "b"]).servers == ("b",)
    assert place([cordoned, server("c")], one, ["b", "c"]).servers == ("c",)
    drained = [server("a", draining=True, alive=False), server("b", draining=True)]
    assert place(drained, one, ["a", "b"]).servers == ("b",)


def test_labels_that_no_longer_fit_are_left_when_others_do() -> None:
    gpu = Wanted((Requirement("tier", Look.IN, ("gpu",)),))
    fleet = [server("a", tier="cpu"), server("b", tier="gpu"), server("c")]

    placing = place(fleet, gpu, ["a"])
    assert placing.servers == ("b",)
    assert why(placing, "a").startswith("tier is cpu, and has to be gpu")
    assert why(placing, "c") == "has no label tier, and has to be gpu"
    nobody = place([fleet[0]], gpu, ["a"])
    assert nobody.servers == ("a",)
    assert nobody.problem.startswith("no server can take it")


def test_a_server_that_is_away_is_no_place_for_a_replica() -> None:
    placing = place([server("a", alive=False), server("b")], TWO, [])

    assert placing.servers == ("b",)
    assert "away" in why(placing, "a")


def test_a_document_is_read_and_written_the_same() -> None:
    document = {
        "servers": {"tier": "gpu", "zone": {"in": ["b", "a"]}, "spot": {"exists": False}},
        "replicas": 2,
        "spread": {"label": "zone", "required": True},
    }
    wanted = parse_wanted(document)

    assert parse_wanted(wanted.to_document()) == wanted
    assert wanted.in_words() == (
        "2 of the servers with spot not set, tier gpu, zone a or b, never two in one zone"
    )


@pytest.mark.parametrize(
    ("document", "pointer"),
    [
        ([], ""),
        ({"replica": 1}, "/replica"),
        ({"replicas": 0}, "/replicas"),
        ({"replicas": True}, "/replicas"),
        ({"spread": "zone"}, "/replicas"),
        ({"replicas": 1, "spread": {"label": "Zone"}}, "/spread/label"),
        ({"servers": {"a": 1}}, "/servers/a"),
        ({"servers": {"a": {"in": []}}}, "/servers/a/in"),
        ({"servers": {"a": {"in": ["é"]}}}, "/servers/a"),
        ({"servers": {"a": {"in": ["b"], "not_in": ["c"]}}}, "/servers/a"),
        ({"servers": {"": "x"}}, "/servers/"),
    ],
)
def test_a_broken_document_says_where(document: object, pointer: str) -> None:
    with pytest.raises(InvalidInputError) as refused:
        parse_wanted(document)
    assert [violation.pointer for violation in refused.value.violations] == [pointer]


def test_labels_are_checked() -> None:
    assert parse_labels("zone=a, tier=gpu,") == {"zone": "a", "tier": "gpu"}
    for text in ("zone", "Zone=a", "zone=a b", "zone=a,zone=b", "accelerator=gpu"):
        with pytest.raises(ValueError, match="label"):
            parse_labels(text)
    assert [one.code for one in check_labels({"lab": "true"}, "/labels")] == ["built_in"]


def test_memory_counts_what_is_measured_and_what_is_on_its_way() -> None:
    sizes = {"here": Footprint(10), "coming": Footprint(20), "mine": Footprint(5, 7)}
    found = rooms(
        limit=(100, None),
        used=(40, None),
        held=["here"],
        committed=["here", "coming"],
        wanted=["mine", "coming"],
        sizes=sizes,
    )
    assert found == (Room("memory", 100, 60, 5), Room("GPU memory", None, 0, 7))
    unmeasured = rooms(
        limit=(34, None), used=(None, None), held=[], committed=sizes, wanted=["mine"], sizes=sizes
    )
    assert unmeasured[0] == Room("memory", 34, 35, 0)
    assert not unmeasured[0].lack, "what is there already needs nothing more"
    assert estimated(1 << 20, "gpu") == Footprint((64 << 20) + (2 << 20), 2 << 20)


LABELS = st.fixed_dictionaries(
    {}, optional={"zone": st.sampled_from("abc"), "tier": st.sampled_from(["cpu", "gpu"])}
)
ROOMS = st.builds(
    lambda limit, taken, needs: memory(limit, taken, needs),
    st.none() | st.integers(0, 10),
    st.integers(0, 10),
    st.integers(0, 5),
)
FLEETS = st.lists(
    st.builds(
        Candidate,
        name=st.sampled_from("abcdefgh"),
        labels=LABELS,
        alive=st.booleans(),
        cordoned=st.booleans(),
        draining=st.booleans(),
        lacks=st.sampled_from(["", "", "has no backend onnxruntime"]),
        rooms=ROOMS,
        endpoints=st.integers(0, 3),
    ),
    max_size=8,
    unique_by=lambda one: one.name,
)
WANTED = st.one_of(
    st.builds(Wanted, st.just(()) | st.just((Requirement("tier", Look.IN, ("gpu",)),))),
    st.builds(
        Wanted,
        st.just(()) | st.just((Requirement("tier", Look.NOT_IN, ("cpu",)),)),
        st.integers(1, 4),
        st.none() | st.builds(Spread, st.just("zone"), st.booleans()),
    ),
)
PRESENT = st.frozensets(st.sampled_from("abcdefgh"))


@given(FLEETS, WANTED, PRESENT)
def test_what_holds_of_every_placement(
    fleet: list[Candidate], wanted: Wanted, present: frozenset[str]
) -> None:
    by_name = {one.name: one for one in fleet}
    there = present & by_name.keys()
    placing = place(fleet, wanted, present)
    servers = set(placing.servers)

    for name in servers - there:
        one = by_name[name]
        assert (one.cordoned, one.draining, one.lacks) == (False, False, "")
        assert not wanted.unmet(one.labels)
        assert all(room.left is None or room.left >= 0 or not room.needs for room in one.rooms)
    if wanted.replicas is not None:
        assert len(servers) <= wanted.replicas
        assert len(servers) >= min(len(there), wanted.replicas), "nobody goes before the next"
    assert servers or not there, "what serves goes on"
    stayers = {n for n in there if not by_name[n].draining and not wanted.unmet(by_name[n].labels)}
    if stayers == there and len(there) <= (wanted.replicas or 99) and not wanted.spread:
        assert there <= servers, "nothing moves without a reason"
    if not placing.problem and wanted.replicas is not None:
        assert len(servers) == wanted.replicas
    assert {one.server for one in placing.said} == by_name.keys()
    assert all(one.reason for one in placing.said)


@given(FLEETS, WANTED, PRESENT, st.randoms())
def test_a_placement_is_the_same_in_any_order_and_once_more(
    fleet: list[Candidate], wanted: Wanted, present: frozenset[str], shuffle: object
) -> None:
    placing = place(fleet, wanted, present)
    shuffled = list(fleet)
    shuffle.shuffle(shuffled)  # type: ignore[attr-defined]

    assert place(shuffled, wanted, present) == placing
    assert place(fleet, wanted, placing.servers).servers == placing.servers


@given(FLEETS, st.integers(1, 4), PRESENT, st.booleans())
def test_a_required_spread_holds_of_all_that_is_not_held(
    fleet: list[Candidate], replicas: int, present: frozenset[str], required: bool
) -> None:
    placing = place(fleet, Wanted(replicas=replicas, spread=Spread("zone", required)), present)
    by_name = {one.name: one for one in fleet}
    placed = [one.server for one in placing.said if one.standing is Standing.PLACED]
    zones = [by_name[name].labels.get("zone", "") for name in placed]

    assert not required or len(zones) == len(set(zones))
