"""A bounded folder of what was fetched: who reads keeps it, who was killed leaves nothing."""

from __future__ import annotations

import errno
import hashlib
import io
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from control_plane.adapters import artifact_cache
from control_plane.adapters.artifact_cache import ArtifactCache, Fetch
from control_plane.adapters.files_by_content import write_stream
from control_plane.ports.repository import ArtifactDamagedError
from stack.settings import CHECKOUT
from tests.support.processes import eventually

SIZE = 1000


def content(number: int) -> bytes:
    return bytes([number]) * SIZE


def digest(number: int) -> str:
    return hashlib.sha256(content(number)).hexdigest()


class Source:
    """Where files come from: what was fetched stands in `fetched`."""

    def __init__(self) -> None:
        self.fetched: list[int] = []

    def of(self, number: int, says: bytes | None = None) -> Fetch:
        def fetch(path: Path, announce: Callable[[int], None]) -> None:
            self.fetched.append(number)
            announce(SIZE)
            path.write_bytes(content(number) if says is None else says)

        return fetch


@pytest.fixture
def source() -> Source:
    return Source()


def use(cache: ArtifactCache, source: Source, *numbers: int) -> None:
    for number in numbers:
        with cache.held(digest(number), source.of(number), "the source") as path:
            assert path.read_bytes() == content(number)


def kept(root: Path) -> set[str]:
    return {path.name for path in (root / "sha256").rglob("*") if path.is_file()}


def test_what_is_used_again_is_not_fetched_again(tmp_path: Path, source: Source) -> None:
    cache = ArtifactCache(tmp_path, 10 * SIZE)
    use(cache, source, 1, 2, 1, 2)
    use(ArtifactCache(tmp_path, 10 * SIZE), source, 1)  # another process, or this one later
    assert source.fetched == [1, 2]


def test_what_was_used_longest_ago_goes_first(tmp_path: Path, source: Source) -> None:
    cache = ArtifactCache(tmp_path, 3 * SIZE)
    for number in (1, 2, 3):
        use(cache, source, number)
        path = tmp_path / "sha256" / digest(number)[:2] / digest(number)
        os.utime(path, (number, number))  # a clock is coarser than this test
    use(cache, source, 1, 4)
    assert kept(tmp_path) == {digest(number) for number in (1, 3, 4)}


def test_what_is_read_is_not_dropped_and_goes_when_it_was_read(
    tmp_path: Path, source: Source
) -> None:
    cache, other = ArtifactCache(tmp_path, 2 * SIZE), ArtifactCache(tmp_path, 2 * SIZE)
    with ExitStack() as reading:
        paths = [
            reading.enter_context(cache.held(digest(n), source.of(n), "the source"))
            for n in (1, 2, 3, 4)
        ]
        use(other, source, 5)  # by another process, which sees that there are too many
        for number, path in zip((1, 2, 3, 4), paths, strict=True):
            assert path.read_bytes() == content(number)
    assert len(kept(tmp_path)) <= 2


def test_without_room_it_is_there_as_long_as_it_is_read(tmp_path: Path, source: Source) -> None:
    cache = ArtifactCache(tmp_path, 0)
    use(cache, source, 1)
    assert kept(tmp_path) == set()
    with cache.spooled(io.BytesIO(content(2))) as (path, sha256, size):
        assert (path.read_bytes(), sha256, size) == (content(2), digest(2), SIZE)
    assert kept(tmp_path) == set()


@pytest.mark.parametrize("says", [b"", content(1)[:-1], content(1)[:-1] + b"x"])
def test_another_content_is_not_kept(tmp_path: Path, source: Source, says: bytes) -> None:
    cache = ArtifactCache(tmp_path, 10 * SIZE)
    with (
        pytest.raises(ArtifactDamagedError, match=f"the source is damaged: it has {len(says)} byt"),
        cache.held(digest(1), source.of(1, says), "the source"),
    ):
        pass
    assert kept(tmp_path) == set()
    assert list((tmp_path / "incoming").iterdir()) == []
    use(cache, source, 1)


def test_two_who_want_the_same_fetch_it_once(tmp_path: Path) -> None:
    begun, go_on = threading.Event(), threading.Event()
    fetches = []

    def fetch(path: Path, announce: Callable[[int], None]) -> None:
        fetches.append(path)
        begun.set()
        go_on.wait(10)
        path.write_bytes(content(1))

    def one() -> None:
        # Of its own, as another process's would be.
        with ArtifactCache(tmp_path, 10 * SIZE).held(digest(1), fetch, "the source") as path:
            found.append(path.read_bytes())

    found: list[bytes] = []
    threads = [threading.Thread(target=one) for _ in range(4)]
    for thread in threads:
        thread.start()
    assert begun.wait(10)
    go_on.set()
    for thread in threads:
        thread.join(10)
    assert found == [content(1)] * 4
    assert len(fetches) == 1


KILLED = """
import sys, time
from pathlib import Path
from control_plane.adapters.artifact_cache import ArtifactCache

def fetch(path, announce):
    path.with_name(path.name + ".part").write_bytes(b"half")
    path.write_bytes(b"half")
    Path(sys.argv[1], "begun").touch()
    time.sleep(60)

with ArtifactCache(Path(sys.argv[1]), 10_000).held(sys.argv[2], fetch, "the source"):
    pass
"""


def test_a_fetch_that_is_killed_leaves_no_lock_and_nothing_that_is_taken_for_whole(
    tmp_path: Path, source: Source
) -> None:
    child = subprocess.Popen([sys.executable, "-c", KILLED, str(tmp_path), digest(1)], cwd=CHECKOUT)
    try:
        assert eventually((tmp_path / "begun").exists, 30)
    finally:
        child.send_signal(signal.SIGKILL)
        child.wait()
    assert len(list((tmp_path / "incoming").iterdir())) == 2
    use(ArtifactCache(tmp_path, 10 * SIZE), source, 1)
    assert list((tmp_path / "incoming").iterdir()) == []
    assert kept(tmp_path) == {digest(1)}


def full() -> OSError:
    return OSError(errno.ENOSPC, "No space left on device")


def test_a_disk_that_is_full_is_freed_of_what_nobody_reads(tmp_path: Path, source: Source) -> None:
    cache = ArtifactCache(tmp_path, 10 * SIZE)
    use(cache, source, 1, 2)

    def fetch(path: Path, announce: Callable[[int], None]) -> None:
        if len(kept(tmp_path)) > 1:  # there is room for one beside the one that is read
            path.write_bytes(b"half")
            raise full()
        path.write_bytes(content(3))

    with (
        cache.held(digest(1), source.of(1), "the source"),
        cache.held(digest(3), fetch, "the source") as path,
    ):
        assert path.read_bytes() == content(3)
        assert kept(tmp_path) == {digest(1), digest(3)}
        with pytest.raises(OSError, match="No space left"), cache.held(digest(4), fetch, "it"):
            pass
        assert list((tmp_path / "incoming").iterdir()) == []


def test_a_stream_goes_on_where_the_disk_was_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Disk(io.FileIO):
        """Takes 100 bytes, and then none until it was emptied."""

        room = 100

        def write(self, data: memoryview) -> int:  # type: ignore[override]
            if not Disk.room:
                raise full()
            taken = data[: Disk.room]
            Disk.room -= len(taken)
            return super().write(taken)

    monkeypatch.setattr(Path, "open", lambda path, *_, **__: Disk(path, "wb"))

    def emptied() -> bool:
        Disk.room = 10_000
        return True

    path = tmp_path / "file"
    assert write_stream(io.BytesIO(content(1)), path, made_room=emptied) == (digest(1), SIZE)
    monkeypatch.undo()
    assert path.read_bytes() == content(1)
    monkeypatch.setattr(Path, "open", lambda path, *_, **__: Disk(path, "wb"))
    Disk.room = 0
    with pytest.raises(OSError, match="No space left"):
        write_stream(io.BytesIO(content(1)), path)


def test_the_whole_is_not_counted_for_each_small_file(
    tmp_path: Path, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = []
    entries = ArtifactCache._entries
    monkeypatch.setattr(
        artifact_cache.ArtifactCache, "_entries", lambda self: looks.append(1) or entries(self)
    )
    cache = ArtifactCache(tmp_path, 100 * SIZE)
    use(cache, source, *range(21))
    assert 3 <= len(looks) <= 6
