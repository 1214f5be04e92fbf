"""Callers with names of their own, some requests each, and what becomes of these."""

from __future__ import annotations

import contextlib
import threading
from collections import Counter
from collections.abc import Iterator, Mapping

import numpy as np
import tritonclient.grpc as triton

from nereid.samples import load_sample
from stack.settings import CHECKOUT
from tests.support.trapped import MARK
from tests.support.until_the_end import until_the_end

SAMPLE = load_sample("digits", CHECKOUT)
VISIT = 5
"""So many requests each of them sends, one after the other."""

HEADER = "x-user-id"


class Shoppers:
    """They have digits read for them, and want their money back where one was read wrongly.

    Of a hundred so many spring the trap of a version that has one, with each of their requests.
    What was ordered and given back is counted by the version that answered, as a shop would.
    """

    def __init__(self, address: str, endpoint: str, trapped: int = 0) -> None:
        self.errors: list[str] = []
        self.orders: Counter[str] = Counter()
        self.refunds: Counter[str] = Counter()
        self._address, self._endpoint, self._trapped = address, endpoint, trapped
        self._end, self._counting = threading.Event(), threading.Lock()
        self._threads = [threading.Thread(target=self._come, args=(i,)) for i in range(2)]

    @contextlib.contextmanager
    def coming(self) -> Iterator[Shoppers]:
        """One after the other, two at a time, until the end of the block."""
        with until_the_end(self._threads, self._end):
            yield self

    def page(self) -> Mapping[str, float]:
        """The shop's counters, as its own page of metrics has them."""
        with self._counting:
            return {
                f'shop_{name}_total{{version="{version}"}}': counted[version]
                for name, counted in (("orders", self.orders), ("refunds", self.refunds))
                for version in sorted(self.orders)
            }

    def _come(self, seed: int) -> None:
        drawn, number = np.random.default_rng(seed), 0
        with triton.InferenceServerClient(self._address) as client:
            while not self._end.is_set():
                number += 1
                self._visit(client, f"{seed}-{number}", drawn)

    def _visit(
        self, client: triton.InferenceServerClient, name: str, drawn: np.random.Generator
    ) -> None:
        springs = drawn.integers(100) < self._trapped
        for _ in range(VISIT):
            image = SAMPLE.image(int(drawn.integers(len(SAMPLE.images))))
            pixels = image.pixels[None, None].copy()
            if springs:
                pixels[..., 0, 0] = 2 * MARK
            given = triton.InferInput(SAMPLE.input, list(pixels.shape), "FP32")
            given.set_data_from_numpy(pixels)
            try:
                result = client.infer(
                    self._endpoint, [given], headers={HEADER: name}, client_timeout=20
                )
            except triton.InferenceServerException as error:
                self.errors.append(str(error))
                continue
            arm = result.get_response().parameters["nereid_arm"].string_param
            version = arm.split(".")[1].removeprefix("v")
            wrong = int(np.argmax(result.as_numpy(SAMPLE.output))) != image.label
            with self._counting:
                self.orders[version] += 1
                self.refunds[version] += wrong
