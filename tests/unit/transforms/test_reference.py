"""The page about transforms says what the code says."""

from pathlib import Path

from backends.transform.nereid_transforms.reference import reference
from backends.transform.nereid_transforms.table import OURS

PAGE = Path("docs/transforms.md")


def test_the_page_has_every_op_as_it_is_described() -> None:
    assert reference().rstrip() in PAGE.read_text(), (
        "docs/transforms.md is behind: put there what `python -c 'from "
        "backends.transform.nereid_transforms.reference import reference; print(reference())'` "
        "prints"
    )


def test_every_op_and_option_is_described() -> None:
    for name, op in OURS.items():
        assert op.__doc__, name
        assert op.shapes, name
        assert all(field.description for field in op.model_fields.values()), name
