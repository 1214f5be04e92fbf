"""The page about profiles says what the code says."""

from pathlib import Path

from control_plane.domain.serving.reference import reference


def test_the_page_has_every_field_as_it_is_described() -> None:
    page = Path("docs/profiles.md").read_text()
    assert reference() in page, (
        "docs/profiles.md is behind: put there what `python -c 'from "
        "control_plane.domain.serving.reference import reference; print(reference())'` prints"
    )
