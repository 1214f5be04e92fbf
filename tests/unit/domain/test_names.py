import pytest
from hypothesis import given
from hypothesis import strategies as st

from control_plane.domain.names import is_public_name, physical_name


@pytest.mark.parametrize("name", ["digits", "a", "a-b_c", "0", "x" * 63])
def test_names_people_may_choose(name: str) -> None:
    assert is_public_name(name)


@pytest.mark.parametrize(
    "name",
    ["", "..", ".", "a/b", "a b", "A", "-a", "a-", "_a", "a.b", "x" * 64, "a\n", "ä", "../etc"],
)
def test_names_people_may_not_choose(name: str) -> None:
    assert not is_public_name(name)


@given(st.from_regex(r"[a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?", fullmatch=True), st.integers(1, 10**9))
def test_a_physical_name_is_never_a_public_one(model: str, number: int) -> None:
    assert not is_public_name(physical_name(model, number, "9f2c1a77"))


def test_physical_name() -> None:
    assert physical_name("digits", 3, "9f2c1a77") == "digits.v3.9f2c1a"
