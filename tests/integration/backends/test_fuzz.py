"""The policy's parser against libFuzzer: no input crashes it, and what it accepts is sound."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from backends.build import PURE_SOURCES, SOURCES
from tests.support import native
from tests.support.native import FUZZ, NATIVE

CORPUS = NATIVE / "corpus"
COMPILERS = ("clang++", *(f"clang++-{version}" for version in range(40, 13, -1)))


def find_clang() -> str:
    return next((name for name in COMPILERS if shutil.which(name)), "")


@pytest.fixture(scope="module")
def fuzzer() -> Path:
    if not find_clang():
        install = native.CHECKOUT / "tests" / "support" / "install_clang.sh"
        subprocess.run([str(install)], check=True)
    clang = find_clang()
    if not clang:
        pytest.skip("libFuzzer comes with clang, which is not here and cannot be installed")
    sources = [NATIVE / "fuzz_policy.cc", *(SOURCES / name for name in PURE_SOURCES)]
    try:
        return native.program("fuzz_policy", sources, FUZZ, compiler=clang)
    except native.NativeBuildError as error:
        if "libclang_rt" in str(error):
            pytest.skip(f"{clang} has no libFuzzer: install libclang-rt-<version>-dev")
        raise


def fuzz(fuzzer: Path, corpus: Path, seconds: int) -> str:
    """Runs the fuzzer from the real policies on; new inputs go into `corpus`."""
    done = native.run(
        fuzzer,
        str(corpus),
        str(CORPUS),
        f"-max_total_time={seconds}",
        "-max_len=4096",
        f"-dict={NATIVE / 'policy.dict'}",
        f"-artifact_prefix={corpus}/",
        flavour=FUZZ,
        timeout_s=seconds + 120,
    )
    assert done.returncode == 0, done.stdout[-4000:]
    return done.stdout


@pytest.mark.long
def test_the_corpus_is_of_policies_that_load(fuzzer: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Seeds that are all refused at once would lead nowhere."""
    seeds = sorted(CORPUS.iterdir())
    assert len(seeds) >= 8
    monkeypatch.setenv("FUZZ_SAYS_ACCEPTED", "1")
    for seed in seeds:
        done = native.run(fuzzer, str(seed), flavour=FUZZ)
        assert done.returncode == 0, done.stdout[-4000:]
        assert "accepted" in done.stdout, seed.name


@pytest.mark.long
@pytest.mark.timeout(600)
def test_nothing_crashes_the_parser(fuzzer: Path, tmp_path: Path) -> None:
    said = fuzz(fuzzer, tmp_path, 180)
    assert "Done" in said
    assert len(list(tmp_path.iterdir())) > 100, "the fuzzer found no new ways through the parser"
