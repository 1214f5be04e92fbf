"""Where a version comes from: what is checked, and that it is said once."""

from __future__ import annotations

from typing import Any

import pytest

from control_plane.domain.registry.provenance import check_provenance, filled
from control_plane.domain.violations import ConflictError, InvalidInputError

WHOLE = {
    "git_commit": "9f2c1a7",
    "run_id": "a1b2",
    "training_data_digest": "sha256:" + "a" * 64,
    "author": "ada",
    "trained_at": "2026-11-24T13:00:00Z",
    "notebook": {"anything": ["goes"]},
}


def test_known_fields_are_taken_and_others_kept() -> None:
    check_provenance(WHOLE)
    check_provenance({"training_data_digest": "A" * 64})
    check_provenance({"training_data_digest": "md5:9e107d9d372bb6826bd81d3542a419d6"})
    check_provenance(dict.fromkeys(WHOLE, ""))
    check_provenance(dict.fromkeys(WHOLE))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("git_commit", "main"),
        ("git_commit", "9f2"),
        ("git_commit", 7),
        ("git_commit", "9f2c1a7\n"),
        ("run_id", 7),
        ("run_id", "x" * 201),
        ("training_data_digest", "abc"),
        ("training_data_digest", "a" * 63),
        ("author", ["ada"]),
        ("trained_at", "yesterday"),
        ("trained_at", "2026-11-24"),
        ("trained_at", "2026-11-24T13:00:00"),
        ("trained_at", 1764000000),
    ],
)
def test_what_a_known_field_is_not_for(field: str, value: Any) -> None:
    with pytest.raises(InvalidInputError) as refusal:
        check_provenance({field: value})
    assert [v.pointer for v in refusal.value.violations] == [f"/provenance/{field}"]


def test_what_is_empty_is_filled_in_and_what_is_said_stays() -> None:
    present = {"git_commit": "9f2c", "run_id": "", "author": None}
    more = {"run_id": "a1", "author": "ada", "git_commit": "9f2c", "trained_at": None, "gpu": "x"}
    assert filled("digits:1", present, more) == {
        "git_commit": "9f2c",
        "run_id": "a1",
        "author": "ada",
        "gpu": "x",
    }
    with pytest.raises(ConflictError, match="digits:1 says git_commit already"):
        filled("digits:1", present, {"git_commit": "0000", "run_id": "a1"})
    with pytest.raises(ConflictError, match="git_commit"):
        filled("digits:1", present, {"git_commit": None})
    with pytest.raises(InvalidInputError):
        filled("digits:1", present, {"run_id": 7})
