"""An identity provider that people sign in with."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import Any, Protocol

BEGUN_FOR_S = 3600
"""How long a sign-in that was begun can be finished."""


class ProviderAwayError(RuntimeError):
    """The provider cannot be reached, or answers with nonsense; the message says which."""


class StateMismatchError(RuntimeError):
    """This answer belongs to no sign-in that was begun in this browser, or to one long ago."""


class ProviderRefusedError(RuntimeError):
    """The provider says no, or what it says does not hold; the message says which."""


@dataclass(frozen=True)
class Proof:
    """Who signed in, proven: signature, issuer, audience, times and nonce hold."""

    claims: Mapping[str, Any]
    next_page: str
    id_token: str = field(repr=False)
    end_session: str = ""
    """Where the provider's own session is ended; empty: it does not say."""


class IdentityProvider(Protocol):
    """What is begun in a session of the browser is finished in the same one, once."""

    def begin(self, session: MutableMapping[str, Any], callback: str, next_page: str) -> str:
        """The address to send the browser to; it comes back to `callback`.

        Raises:
            ProviderAwayError.
        """
        ...

    def finish(self, session: MutableMapping[str, Any], answer: Mapping[str, str]) -> Proof:
        """What the browser brought back to the callback, checked with the provider.

        Raises:
            StateMismatchError, ProviderRefusedError, ProviderAwayError.
        """
        ...
