"""Who calls the sample through the edge all the while, over HTTP and gRPC, and what they got."""

from __future__ import annotations

import contextlib
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from types import ModuleType

import numpy as np
import tritonclient.grpc
import tritonclient.http
from tritonclient.utils import InferenceServerException

from nereid.samples import load_sample
from stack.settings import CHECKOUT
from tests.support.until_the_end import until_the_end

SAMPLE = load_sample("digits", CHECKOUT)
PAUSE_S = 0.005
"""What is started meanwhile needs the processor."""


def inference(module: ModuleType, name: str) -> Callable[..., object]:
    """A call of an endpoint with the sample's input, given a client of that module."""
    pixels = SAMPLE.image(0).pixels[None, None].astype(np.float32)
    given = module.InferInput(SAMPLE.input, list(pixels.shape), "FP32")
    given.set_data_from_numpy(pixels)
    return lambda client, **more: client.infer(name, [given], **more)


class EdgeCallers:
    """One caller over each protocol; none of them tries anything twice.

    `errors` has what failed, in words; `answered` counts the rest by protocol.
    """

    def __init__(self, edge: dict[str, str], name: str = "digits") -> None:
        self.errors: list[str] = []
        self.answered: Counter[str] = Counter()
        self._name = name
        self._end = threading.Event()
        addresses = {
            tritonclient.http: edge["http"].partition("://")[2],
            tritonclient.grpc: edge["grpc"],
        }
        self._threads = [threading.Thread(target=self._call, args=one) for one in addresses.items()]

    @contextlib.contextmanager
    def calling(self) -> Iterator[EdgeCallers]:
        with until_the_end(self._threads, self._end):
            yield self

    def went_on(self, requests: int = 50) -> Callable[[], bool]:
        """A condition: so many more than now were answered over each protocol."""
        before = Counter(self.answered)
        return lambda: all(self.answered[one] - before[one] > requests for one in ("http", "grpc"))

    def _call(self, module: ModuleType, address: str) -> None:
        protocol = module.__name__.rpartition(".")[2]
        infer = inference(module, self._name)
        with module.InferenceServerClient(address) as client:
            while not self._end.wait(PAUSE_S):
                try:
                    infer(client)
                    self.answered[protocol] += 1
                except (InferenceServerException, OSError) as error:
                    self.errors.append(f"{protocol}: {error}")
