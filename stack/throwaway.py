"""A server that lives as long as a `with` block: what tests and checks want of the embedded."""

import signal
import subprocess
import time
from abc import ABC, abstractmethod
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self


class ThrowAway(ABC):
    """Starts `command()` in the foreground and waits for `ready()`; a supervisor needs neither.

    A subclass says its `title`, `stop_signal`, `failure` and `log_file`.
    """

    title: ClassVar[str]
    stop_signal: ClassVar[signal.Signals]
    failure: ClassVar[type[RuntimeError]]
    log_file: Path
    _process: subprocess.Popen[bytes] | None = None

    @abstractmethod
    def prepare(self) -> None:
        """Whatever has to be on disk before it starts."""

    @abstractmethod
    def command(self) -> list[str]:
        """The server in the foreground, tied to this process."""

    @abstractmethod
    def ready(self) -> bool:
        """Whether it answers."""

    def start(self, patience: float = 60.0) -> None:
        """Starts it and waits until it answers.

        Raises:
            RuntimeError: `failure`, with the end of its log, when it ends or takes too long.
        """
        self.prepare()
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                self.command(), cwd="/", stdout=log, stderr=log, start_new_session=True
            )
        deadline = time.monotonic() + patience
        while not self.ready():
            code = self._process.poll()
            if code is not None or time.monotonic() > deadline:
                why = f"ended with {code}" if code is not None else f"not ready in {patience:.0f} s"
                self.stop()
                tail = self.log_file.read_text(errors="replace").splitlines()[-15:]
                raise self.failure("\n".join([f"{self.title} {why}:", *tail]))
            time.sleep(0.02)

    def stop(self, patience: float = 20.0) -> None:
        """Ends it, by force when it takes too long; nothing happens when it does not run."""
        process, self._process = self._process, None
        if process is None:
            return
        if process.poll() is None:
            process.send_signal(self.stop_signal)
        try:
            process.wait(patience)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    @property
    def pid(self) -> int | None:
        """The pid of the server, where it was started here."""
        return self._process.pid if self._process else None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
