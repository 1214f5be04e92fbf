"""An OpenID Connect provider, by Authlib: discovery, authorization code flow, PKCE, nonce, logout.

Every sign-in reads the provider's metadata and keys anew: they are few, and keys that were
changed are never in the way.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, MutableMapping
from typing import Any
from urllib.parse import urlsplit

import requests
from authlib.common.errors import AuthlibBaseError
from authlib.integrations.base_client import OAuthError
from authlib.integrations.django_client import OAuth
from joserfc.errors import JoseError

from control_plane.ports.identity import (
    BEGUN_FOR_S,
    Proof,
    ProviderAwayError,
    ProviderRefusedError,
    StateMismatchError,
)

TIMEOUT_S = 8
NAME = "oidc"
NEEDED = ("authorization_endpoint", "token_endpoint", "jwks_uri")
BEGUN = "sign_ins_begun"
MAX_BEGUN = 8
"""Of one browser at a time: whoever begins over and over makes no session that grows."""
LOOPBACK = ("127.0.0.1", "localhost", "::1")
MAX_WORDS = 300


class OidcProvider:
    """`ports.identity.IdentityProvider` over HTTP."""

    def __init__(
        self, issuer: str, client_id: str, client_secret: str, scopes: str, groups_claim: str
    ) -> None:
        self._issuer = issuer
        self._groups_claim = groups_claim.partition(".")[0]
        self._options = {
            "client_id": client_id,
            "client_secret": client_secret,
            "server_metadata_url": f"{issuer.rstrip('/')}/.well-known/openid-configuration",
            "client_kwargs": {
                "scope": scopes,
                "code_challenge_method": "S256",
                "default_timeout": TIMEOUT_S,
            },
        }

    def begin(self, session: MutableMapping[str, Any], callback: str, next_page: str) -> str:
        client = self._client()
        begun = client.create_authorization_url(callback)
        kept = {key: begun[key] for key in ("nonce", "code_verifier")}
        kept |= {"redirect_uri": callback, "next": next_page, "until": time.time() + BEGUN_FOR_S}
        several = [*_begun(session).items(), (begun["state"], kept)]
        session[BEGUN] = dict(several[-MAX_BEGUN:])
        return str(begun["url"])

    def finish(self, session: MutableMapping[str, Any], answer: Mapping[str, str]) -> Proof:
        state = answer.get("state", "")
        several = _begun(session)
        begun = several.pop(state, None)
        if begun is None:  # no request to anybody before the state is known
            raise StateMismatchError("this answer belongs to no sign-in that was begun here")
        session[BEGUN] = several
        if "error" in answer:
            raise ProviderRefusedError(_told(answer.get("error_description") or answer["error"]))
        client = self._client()
        try:
            token = client.fetch_access_token(
                code=answer.get("code", ""),
                state=state,
                code_verifier=begun["code_verifier"],
                redirect_uri=begun["redirect_uri"],
            )
            claims = self._claims(client, token, begun["nonce"])
        except requests.RequestException as error:
            raise ProviderAwayError(_about(error)) from error
        except (AuthlibBaseError, JoseError, OAuthError) as error:
            raise ProviderRefusedError(_told(str(error))) from error
        except (ValueError, KeyError, TypeError) as error:
            raise ProviderAwayError("what it answers is no answer to a sign-in") from error
        return Proof(
            claims=claims,
            next_page=str(begun["next"]),
            id_token=str(token["id_token"]),
            end_session=str(client.server_metadata.get("end_session_endpoint") or ""),
        )

    def _claims(self, client: Any, token: Mapping[str, Any], nonce: str) -> dict[str, Any]:
        """The ID token's claims; what it leaves out of the groups, the user info is asked for."""
        if not token.get("id_token"):
            raise ProviderRefusedError("it sent no ID token")
        wanted = {
            "iss": {"essential": True, "values": [self._issuer]},
            "aud": {"essential": True, "values": [client.client_id]},
        }
        claims = dict(client.parse_id_token(token, nonce=nonce, claims_options=wanted))
        address = str(client.server_metadata.get("userinfo_endpoint") or "")
        if self._groups_claim in claims or not address:
            return claims
        if not _safe(address):  # whoever is between would say which groups somebody has
            raise ProviderAwayError("its discovery document has no usable userinfo_endpoint")
        told = dict(client.userinfo(token=token))
        if told.get("sub") != claims.get("sub"):
            raise ProviderRefusedError("its user info is about somebody else")
        # What is signed goes first.
        return {**told, **claims}

    def _client(self) -> Any:
        """The library's client, with the provider's metadata read and checked.

        Raises:
            ProviderAwayError: they cannot be read, or are another's.
        """
        client = OAuth().register(NAME, **self._options)
        try:
            metadata = client.load_server_metadata()
        except requests.RequestException as error:
            raise ProviderAwayError(_about(error)) from error
        except (ValueError, TypeError) as error:
            raise ProviderAwayError("its discovery document is no JSON object") from error
        if metadata.get("issuer") != self._issuer:
            raise ProviderAwayError(
                f"it calls itself {metadata.get('issuer')!r} and NEREID_OIDC_ISSUER is "
                f"{self._issuer!r}: they have to be the same, letter by letter"
            )
        for name in NEEDED:
            if not _safe(str(metadata.get(name) or "")):
                raise ProviderAwayError(f"its discovery document has no usable {name}")
        if not _safe(str(metadata.get("end_session_endpoint") or "")):
            metadata.pop("end_session_endpoint", None)
        # An unsigned token proves nothing, whatever the provider would be willing to send.
        if algorithms := metadata.get("id_token_signing_alg_values_supported"):
            metadata["id_token_signing_alg_values_supported"] = [
                one for one in algorithms if str(one).lower() != "none"
            ]
        return client


def _begun(session: Mapping[str, Any]) -> dict[str, Any]:
    """The sign-ins that were begun in this browser and can still be finished, by their state."""
    now = time.time()
    return {state: one for state, one in session.get(BEGUN, {}).items() if one["until"] > now}


def _safe(url: str) -> bool:
    """Encrypted, or on this machine."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in LOOPBACK)


def _told(words: str) -> str:
    """Another's words as they can be shown and kept."""
    return "".join(c for c in words if c.isprintable())[:MAX_WORDS]


def _about(error: requests.RequestException) -> str:
    if error.response is not None:
        return f"it answers {error.response.status_code} at {error.response.url}"
    if isinstance(error, requests.JSONDecodeError):
        return "what it answers is no JSON"
    if isinstance(error, requests.Timeout):
        return f"it did not answer within {TIMEOUT_S} s"
    return f"it cannot be reached ({type(error).__name__})"
