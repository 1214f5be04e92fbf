"""`ports.load.LoadGenerator` by perf_analyzer: one process for each level, with a deadline."""

from __future__ import annotations

import contextlib
import ctypes
import gzip
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from control_plane.adapters.perf_analyzer.binary import PerfAnalyzer, find
from control_plane.domain.perf.arguments import Place, arguments, deadline_s
from control_plane.domain.perf.export import UnreadableExportError, complaint, read_measurement
from control_plane.domain.perf.request import Input, PerfRequest, Protocol, SharedMemory
from control_plane.ports.load import Aim, LoadFailedError, LoadHungError, LoadStoppedError, Measured

LOOK_S = 0.1
ASK_S = 1.0
END_PATIENCE_S = 3.0
MAX_WORDS = 1 << 20
MAX_FILE = 256 << 20
MAX_KEPT = 4 << 20
"""Bytes of a file before and after it was compressed; a larger one is left out, and said so."""

# Only these reach the process: it has no business with our secrets.
_ENVIRONMENT = ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "TMPDIR")
_PR_SET_PDEATHSIG = 1
_NO_ANSWER = "No valid requests recorded within time interval"
_NEEDS_MEMORY_KEY = (
    "shared memory is restricted on Tritons that Nereid starts: set NEREID_TRITON_SHM_KEY for the "
    "workers, which have to run on the server's own machine"
)


class PerfAnalyzerLoad:
    """The real program, found or fetched when it is needed first.

    Args:
        tools: where a fetched one is kept; None: `binary.find`'s own place.
        memory_headers: by protocol, what opens the shared-memory API; empty where nothing does.
    """

    def __init__(
        self,
        tools: Path | None = None,
        memory_headers: Mapping[Protocol, Mapping[str, str]] | None = None,
    ) -> None:
        self._tools = tools
        self._memory_headers = memory_headers or {}
        self._found: PerfAnalyzer | None = None

    def provide(self) -> str:
        said = self._analyzer().run("--version", timeout_s=30)
        lines = (said.stdout + said.stderr).strip().splitlines()
        return lines[0][:100] if lines else "perf_analyzer"

    def measure(
        self, request: PerfRequest, value: float, aim: Aim, *, goes_on: Callable[[], bool]
    ) -> Measured:
        private = request.input is Input.RECORDING
        with (
            tempfile.TemporaryDirectory(prefix="nereid-perf-") as folder,
            _in_memory(aim.input_data) as sent,
        ):
            place = self._place(request, aim, Path(folder), sent)
            words = self._run(
                arguments(request, value, place),
                Path(folder),
                deadline_s(request),
                goes_on,
                sent=sent,
                private=private,
            )
            try:
                report = Path(place.csv).read_text(errors="replace")
                measurement = read_measurement(report, words)
            except (OSError, UnreadableExportError) as error:
                raise LoadFailedError(f"{_told(words, private)} ({error})") from error
            files, left_out = _kept({"report.csv": place.csv, "export.json": place.export})
            return Measured(measurement, files, left_out)

    def _analyzer(self) -> PerfAnalyzer:
        if self._found is None:
            self._found = find(self._tools)
        return self._found

    def _place(self, request: PerfRequest, aim: Aim, folder: Path, sent: int) -> Place:
        intervals_file = folder / "intervals.txt"
        if request.load.intervals:
            intervals_file.write_text("".join(f"{one}\n" for one in request.load.intervals))
        headers: Mapping[str, str] = {}
        if request.shared_memory is not SharedMemory.NONE:
            headers = self._memory_headers.get(request.protocol, {})
        return Place(
            model=aim.model,
            address=aim.grpc if request.protocol is Protocol.GRPC else aim.http,
            csv=str(folder / "report.csv"),
            export=str(folder / "export.json"),
            input_file=f"/proc/self/fd/{sent}",
            intervals_file=str(intervals_file),
            headers=headers,
        )

    def _run(
        self,
        words: list[str],
        folder: Path,
        within_s: float,
        goes_on: Callable[[], bool],
        *,
        sent: int,
        private: bool,
    ) -> str:
        """Runs it to its end, and returns what it printed.

        Args:
            sent: the descriptor of what it sends.
            private: whether nobody may read that, nor what comes of it.

        Raises:
            LoadFailedError, LoadHungError, LoadStoppedError.
        """
        analyzer = self._analyzer()
        environment = {k: v for k, v in analyzer.environment.items() if k in _ENVIRONMENT}
        said = folder / "words.txt"
        with said.open("wb") as output:
            process = subprocess.Popen(
                [str(analyzer.binary), *words],
                env=environment,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                pass_fds=(sent,),
                preexec_fn=_die_with_parent,
            )
            try:
                _watch(process, within_s, goes_on)
            finally:
                _end(process)
        printed = said.read_bytes()[:MAX_WORDS].decode(errors="replace")
        if _NO_ANSWER in printed:
            raise LoadHungError("no request was answered within a window: take a longer one")
        if process.returncode != 0:
            reason = _told(printed, private)
            if "expecting header" in printed:
                reason = f"{reason}: {_NEEDS_MEMORY_KEY}"
            raise LoadFailedError(reason)
        return printed


@contextlib.contextmanager
def _in_memory(text: str) -> Iterator[int]:
    """The descriptor of a file that is on no disk: what callers sent outlives no killed worker."""
    descriptor = os.memfd_create("nereid-perf-input", os.MFD_CLOEXEC)
    try:
        with open(descriptor, "w", closefd=False) as file:
            file.write(text)
        yield descriptor
    finally:
        os.close(descriptor)


def _told(printed: str, private: bool) -> str:
    """Why it failed; a model's own words may repeat what it was sent, which everybody would see."""
    if private:
        return (
            "perf_analyzer failed; its words are not kept, for they may have what callers sent: "
            "the server's log has the model's, and a run with --input random may say more"
        )
    return complaint(printed)


def _watch(process: subprocess.Popen[bytes], within_s: float, goes_on: Callable[[], bool]) -> None:
    deadline = time.monotonic() + within_s
    ask_at = time.monotonic() + ASK_S
    while process.poll() is None:
        now = time.monotonic()
        if now >= deadline:
            raise LoadHungError(f"perf_analyzer came to no end in {within_s:.0f} s")
        if now >= ask_at:
            if not goes_on():
                raise LoadStoppedError("it was stopped")
            ask_at = now + ASK_S
        time.sleep(LOOK_S)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ends it where it runs: first as Ctrl-C does, so that it cleans up its shared memory."""
    if process.poll() is not None:
        return
    process.send_signal(signal.SIGINT)
    try:
        process.wait(END_PATIENCE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _kept(paths: Mapping[str, str]) -> tuple[dict[str, bytes], str]:
    """The files, gzipped; and which are too large, in words."""
    files: dict[str, bytes] = {}
    left_out = []
    for name, path in paths.items():
        with contextlib.suppress(FileNotFoundError):
            packed = Path(f"{path}.gz")
            if Path(path).stat().st_size <= MAX_FILE:
                with Path(path).open("rb") as source, gzip.open(packed, "wb", 6) as target:
                    shutil.copyfileobj(source, target)
                if packed.stat().st_size <= MAX_KEPT:
                    files[name] = packed.read_bytes()
                    continue
            left_out.append(f"{name} is larger than what is kept ({MAX_KEPT >> 20} MiB)")
    return files, "; ".join(left_out)


def _die_with_parent() -> None:
    """A worker that is killed leaves no load behind."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
