"""The router under AddressSanitizer, UndefinedBehaviorSanitizer and ThreadSanitizer.

The harness links the router with a stand-in for Triton (tests/native/fake_triton.h) that ends the
process when a rule of the interface is broken: a caller answered twice or not at all, something
used after it was given back, something leaked. A sanitizer's report ends it too.
"""

from __future__ import annotations

import re

import pytest

from tests.support import native
from tests.support.native import ADDRESS, PLAIN, THREAD, Flavour

pytestmark = [pytest.mark.long, pytest.mark.timeout(1200)]


def check(flavour: Flavour, *arguments: str) -> list[str]:
    """The lines of a run that found nothing."""
    done = native.run(native.harness(flavour), *arguments, flavour=flavour, timeout_s=900)
    assert done.returncode == 0, done.stdout[-6000:]
    lines = done.stdout.splitlines()
    assert [line for line in lines if not re.match(r"ok |flat ", line)] == []
    return lines


def scenarios() -> set[str]:
    """What the harness has: a run that ended early would lack some of it."""
    listed = native.run(native.harness(ADDRESS), "list", flavour=ADDRESS)
    assert listed.returncode == 0, listed.stdout
    return set(listed.stdout.split())


def named(lines: list[str]) -> set[str]:
    return {line.split()[1].rstrip(":") for line in lines}


@pytest.mark.parametrize("flavour", [ADDRESS, THREAD], ids=lambda flavour: flavour.name)
def test_every_policy_under_load_and_reloads(flavour: Flavour) -> None:
    lines = check(flavour, "run", "all", "--scale", "2")
    assert named(lines) == scenarios()


def test_every_call_of_the_interface_may_fail() -> None:
    lines = check(ADDRESS, "faults")
    # The others have nothing that these lack, with one request at a time.
    assert named(lines) == scenarios() - {"large", "everything", "limits"}
    for line in lines:
        faults = re.search(r"(\d+) faults in requests, of (\d+) functions; (\d+) in loads", line)
        assert faults is not None, line
        assert min(map(int, faults.groups())) > 20, line


def test_memory_stays_over_ten_million_requests() -> None:
    check(PLAIN, "flat", "--requests", "10000000")


def test_a_fault_would_be_seen() -> None:
    """The harness's own faults: each breaks one rule, and each ends the process."""
    binary = native.harness(ADDRESS)
    for rule in ("answer-twice", "leak-error", "use-after-release", "keep-request"):
        done = native.run(binary, "break", rule, flavour=ADDRESS)
        assert done.returncode != 0, rule
        assert "VIOLATION" in done.stdout or "AddressSanitizer" in done.stdout, rule
