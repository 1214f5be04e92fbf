"""`ports.prometheus.Prometheus` over its HTTP API, at the one address that an operator named.

What was named is allowed, and nothing else: redirects are not followed, answers are bounded in time
and size. Whoever writes a template says what is asked, never whom.
"""

from __future__ import annotations

import json
import ssl
import time
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import urlencode, urlsplit

import httpcore

from control_plane.adapters.guarded_network import (
    CONNECT_S,
    GuardedNetwork,
    RefusedAddressError,
    system_words,
)
from control_plane.domain.webhooks.addresses import Allowed
from control_plane.ports.prometheus import NotAnsweredError, Series

TIMEOUT_S = 4.0
"""Below the time after which it is asked again."""

MOST_BYTES = 2 << 20
MOST_SERIES = 2000
_SAID = 300


class HttpPrometheus:
    """The server at `url`, such as `http://prometheus:9090` or `https://host/prometheus`."""

    def __init__(self, url: str, *, token: str = "", timeout_s: float = TIMEOUT_S) -> None:
        parts = urlsplit(url)
        self._named = f"{parts.scheme}://{parts.netloc}"
        self._host = parts.netloc
        self._address = httpcore.URL(
            scheme=parts.scheme,
            host=parts.hostname or "",
            port=parts.port,
            target=f"{parts.path.rstrip('/')}/api/v1/query",
        )
        self._allowed = Allowed(hosts=frozenset({(parts.hostname or "").lower().rstrip(".")}))
        self._token = token
        self._timeout_s = timeout_s
        self._tls = ssl.create_default_context()

    def ask(self, query: str, at: datetime) -> Sequence[Series]:
        status, body = self._answer({"query": query, "time": f"{at.timestamp():.3f}"})
        try:
            answer = json.loads(body)
            said = answer["status"]
            if said == "success":
                return _series(answer["data"])
            problem = str(answer.get("error", ""))[:_SAID]
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            detail = f"it answered {status} with what is no answer of Prometheus"
            raise NotAnsweredError(f"{self._named}: {detail}") from None
        raise NotAnsweredError(f"Prometheus refuses the query: {problem}")

    def _answer(self, form: dict[str, str]) -> tuple[int, bytes]:
        deadline = time.monotonic() + self._timeout_s
        guarded = GuardedNetwork(self._allowed, deadline)
        try:
            with httpcore.ConnectionPool(
                ssl_context=self._tls, network_backend=guarded, retries=0
            ) as pool:
                return self._post(pool, urlencode(form).encode())
        except RefusedAddressError as error:
            raise NotAnsweredError(str(error)) from None
        except httpcore.ConnectTimeout:
            detail = f"no connection within {min(CONNECT_S, self._timeout_s):g} s"
            raise NotAnsweredError(f"{self._named}: {detail}") from None
        except httpcore.TimeoutException:
            detail = f"no whole answer within {self._timeout_s:g} s"
            raise NotAnsweredError(f"{self._named}: {detail}") from None
        except (httpcore.NetworkError, httpcore.ProtocolError, OSError, ValueError) as error:
            raise NotAnsweredError(f"{self._named}: {system_words(error)}") from None

    def _post(self, pool: httpcore.ConnectionPool, content: bytes) -> tuple[int, bytes]:
        headers = [
            ("Host", self._host),
            ("Content-Type", "application/x-www-form-urlencoded"),
            ("Accept", "application/json"),
            *([("Authorization", f"Bearer {self._token}")] if self._token else []),
        ]
        waits = {"connect": CONNECT_S, "read": self._timeout_s, "write": self._timeout_s}
        with pool.stream(
            "POST", self._address, headers=headers, content=content, extensions={"timeout": waits}
        ) as response:
            return response.status, self._bounded(response.iter_stream())

    def _bounded(self, chunks: Iterable[bytes]) -> bytes:
        kept = bytearray()
        for chunk in chunks:
            kept += chunk
            if len(kept) > MOST_BYTES:
                detail = f"an answer of over {MOST_BYTES >> 20} MiB: aggregate, as by sum()"
                raise NotAnsweredError(detail)
        return bytes(kept)


def _series(data: Any) -> list[Series]:
    """The values of an answer.

    Raises:
        NotAnsweredError: it is a range or a text, or there are too many.
    """
    kind, result = data["resultType"], data["result"]
    if kind == "scalar":
        return [Series({}, float(result[1]))]
    if kind != "vector":
        raise NotAnsweredError(f"the query gives a {kind}, and one value of a moment is wanted")
    if len(result) > MOST_SERIES:
        detail = f"the query finds {len(result)} series, at most {MOST_SERIES}: aggregate"
        raise NotAnsweredError(f"{detail}, as by sum()")
    return [Series(dict(one["metric"]), float(one["value"][1])) for one in result]
