"""Which headers an operator can have forwarded to the router."""

import re

import pytest

from stack.triton import header_pattern


def test_additions_are_whole_names() -> None:
    pattern = re.compile(header_pattern("x-region, x-shard-[0-9]+"))
    assert pattern.match("x-region")
    assert pattern.match("x-shard-12")
    assert pattern.match("X-Tenant-Id")
    assert not pattern.match("x-region-2")


@pytest.mark.parametrize(
    "addition",
    [
        "authorization",
        "Cookie",
        ".*",
        "(?i)AUTH.*",
        "x-ok|cookie",
        "proxy-.*",
        "set-cookie",
        "[a-z]+",
        "a$|^.*",
    ],
)
def test_secrets_are_never_forwarded(addition: str) -> None:
    with pytest.raises(ValueError, match="never forwarded") as refusal:
        header_pattern(f"x-region,{addition}")
    assert repr(addition) in str(refusal.value)


@pytest.mark.parametrize("addition", ["(", "x)|(.*", "*", "[[:alpha:]]+", r"\pL+", r"\Qcookie\E"])
def test_what_is_no_pattern_is_refused_by_name(addition: str) -> None:
    with pytest.raises(ValueError, match="no regular expression") as refusal:
        header_pattern(addition)
    assert repr(addition) in str(refusal.value)
