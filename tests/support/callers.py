"""Who calls an endpoint all the while, and what they got."""

from __future__ import annotations

import contextlib
import threading
from collections import Counter
from collections.abc import Iterator

import numpy as np
import tritonclient.grpc as triton

from nereid.samples import load_sample
from stack.settings import CHECKOUT
from tests.support.trapped import MARK
from tests.support.until_the_end import until_the_end

SAMPLE = load_sample("digits", CHECKOUT)


class Callers:
    """Who calls all the while; so many of a hundred requests are marked for the trap.

    Each rests for `pause_s` between two requests: what is started meanwhile needs the processor.
    """

    def __init__(self, address: str, marked: int = 0, pause_s: float = 0.0) -> None:
        self.errors: list[str] = []
        self.answered: Counter[str] = Counter()
        self._address, self._marked, self._pause_s = address, marked, pause_s
        self._end = threading.Event()
        self._threads = [threading.Thread(target=self._call, args=(i,)) for i in range(2)]

    @contextlib.contextmanager
    def calling(self) -> Iterator[Callers]:
        with until_the_end(self._threads, self._end):
            yield self

    def _call(self, seed: int) -> None:
        drawn = np.random.default_rng(seed)
        with triton.InferenceServerClient(self._address) as client:
            while not self._end.wait(self._pause_s):
                image = SAMPLE.image(int(drawn.integers(len(SAMPLE.images))))
                pixels = image.pixels[None, None].copy()
                if drawn.integers(100) < self._marked:
                    pixels[..., 0, 0] = 2 * MARK
                given = triton.InferInput(SAMPLE.input, list(pixels.shape), "FP32")
                given.set_data_from_numpy(pixels)
                try:
                    result = client.infer("digits", [given], client_timeout=20)
                except triton.InferenceServerException as error:
                    self.errors.append(str(error))
                    continue
                arm = result.get_response().parameters["nereid_arm"].string_param
                self.answered[arm.split(".")[1]] += 1
