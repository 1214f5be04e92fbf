"""An OpenID Connect provider as a process of its own: Authlib's server, with one client.

It insists on PKCE (S256) and on the client's secret. Who there is, and what it does wrong, is
said by PUT to `/people` and `/fault`.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import flask
import httpx
from authlib.integrations.flask_oauth2 import AuthorizationServer
from authlib.oauth2.rfc6749 import AuthorizationCodeMixin, ClientMixin, OAuth2Error
from authlib.oauth2.rfc6749.grants import AuthorizationCodeGrant
from authlib.oauth2.rfc7636 import CodeChallenge
from authlib.oidc.core import OpenIDCode
from joserfc import jwt
from joserfc.jwk import KeySet, RSAKey

from stack.ports import free_port

CLIENT_ID, CLIENT_SECRET = "nereid", "a-secret-of-tests"
KEY, OTHER_KEY = (RSAKey.generate_key(2048, {"kid": "1", "use": "sig"}) for _ in range(2))
PAGE = """<!doctype html><title>Test ID</title><h1>Test ID</h1><form method="post">
<label>Subject <input name="sub"></label><button>Let me in</button></form>"""
LEFT_PAGE = "<!doctype html><title>Test ID</title><h1>Signed out of Test ID</h1>"


class Client(ClientMixin):
    def get_client_id(self) -> str:
        return CLIENT_ID

    def get_default_redirect_uri(self) -> None:
        return None

    def get_allowed_scope(self, scope: str) -> str:
        return scope

    def check_redirect_uri(self, redirect_uri: str) -> bool:
        return redirect_uri.endswith("/console/login/oidc/callback/")

    def check_client_secret(self, client_secret: str) -> bool:
        return client_secret == CLIENT_SECRET

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:
        return method == "client_secret_basic"

    def check_response_type(self, response_type: str) -> bool:
        return response_type == "code"

    def check_grant_type(self, grant_type: str) -> bool:
        return grant_type == "authorization_code"


@dataclass
class Code(AuthorizationCodeMixin):
    subject: str
    redirect_uri: str
    scope: str
    nonce: str | None
    code_challenge: str
    code_challenge_method: str

    def get_redirect_uri(self) -> str:
        return self.redirect_uri

    def get_scope(self) -> str:
        return self.scope

    def get_nonce(self) -> str | None:
        return self.nonce


class World:
    """What the process knows; it is one for one test run."""

    def __init__(self) -> None:
        self.people: dict[str, dict[str, Any]] = {}
        self.fault = ""
        self.codes: dict[str, Code] = {}
        self.tokens: dict[str, str] = {}


world = World()
app = flask.Flask(__name__)


def issuer() -> str:
    return flask.request.host_url.rstrip("/")


def claims_of(subject: str) -> dict[str, Any]:
    return {"sub": subject, **world.people[subject]}


class Grant(AuthorizationCodeGrant):
    TOKEN_ENDPOINT_AUTH_METHODS = ("client_secret_basic",)

    def save_authorization_code(self, code: str, request: Any) -> None:
        asked = request.payload.data
        world.codes[code] = Code(
            subject=request.user,
            redirect_uri=asked["redirect_uri"],
            scope=asked["scope"],
            nonce=asked.get("nonce"),
            code_challenge=asked["code_challenge"],
            code_challenge_method=asked["code_challenge_method"],
        )

    def query_authorization_code(self, code: str, client: Client) -> Code | None:
        return world.codes.get(code)

    def delete_authorization_code(self, authorization_code: Code) -> None:
        world.codes = {k: v for k, v in world.codes.items() if v is not authorization_code}

    def authenticate_user(self, authorization_code: Code) -> str:
        return authorization_code.subject


class IdTokens(OpenIDCode):
    def exists_nonce(self, nonce: str, request: Any) -> bool:
        return False

    def encode_id_token(self, token: dict[str, Any], request: Any) -> str:
        now, code = int(time.time()), request.authorization_code
        claims = {"iss": issuer(), "aud": CLIENT_ID, "iat": now, "exp": now + 300}
        claims |= {"nonce": code.nonce, **claims_of(code.subject)}
        header = {"alg": "RS256", "kid": "1"}
        if "user info" in world.fault:
            claims.pop("groups")
        wrong: dict[str, dict[str, Any]] = {
            "nonce": {"nonce": "another"},
            "issuer": {"iss": "https://evil.example"},
            "audience": {"aud": "another", "azp": CLIENT_ID},
            "expired": {"iat": now - 9000, "exp": now - 8000},
        }
        claims |= wrong.get(world.fault, {})
        if world.fault == "unsigned":
            return jwt.encode({"alg": "none"}, claims, None, ["none"])
        return jwt.encode(header, claims, OTHER_KEY if world.fault == "signature" else KEY)


def save_token(token: dict[str, Any], request: Any) -> None:
    world.tokens[token["access_token"]] = request.user


server = AuthorizationServer(app, lambda client_id: Client() if client_id == CLIENT_ID else None)
server._save_token = save_token
server.register_grant(Grant, [CodeChallenge(required=True), IdTokens(require_nonce=True)])


@app.get("/.well-known/openid-configuration")
def discovery() -> Any:
    if world.fault == "down":
        return "no", 500
    if world.fault == "nonsense":
        return "<html>"
    base = "https://another.example" if world.fault == "impostor" else issuer()
    odd = {
        "no address": {"authorization_endpoint": "https://[id"},
        "groups in the user info alone, in the clear": {
            "userinfo_endpoint": "http://id.example/userinfo"
        },
    }
    return {
        "issuer": base,
        "authorization_endpoint": f"{base}/authorize",
        "token_endpoint": f"{base}/token",
        "userinfo_endpoint": f"{base}/userinfo",
        "jwks_uri": f"{base}/jwks",
        "end_session_endpoint": f"{base}/leave",
        "code_challenge_methods_supported": ["S256"],
        "id_token_signing_alg_values_supported": ["RS256", "none"],
        "token_endpoint_auth_methods_supported": ["client_secret_basic"],
        **odd.get(world.fault, {}),
    }


@app.get("/jwks")
def jwks() -> Any:
    return KeySet([KEY]).as_dict(private=False)


@app.route("/authorize", methods=["GET", "POST"])
def authorize() -> Any:
    if flask.request.args.get("code_challenge_method") != "S256":
        return "PKCE is asked for here", 400
    try:
        grant = server.get_consent_grant(end_user=None)
    except OAuth2Error as error:
        return server.handle_error_response(server.create_oauth2_request(None), error)
    if flask.request.method == "GET":
        return PAGE
    subject = flask.request.form["sub"]
    known = subject if subject in world.people else None
    return server.create_authorization_response(grant=grant, grant_user=known)


@app.post("/token")
def token() -> Any:
    if world.fault == "token endpoint down":
        return "no", 503
    return server.create_token_response()


@app.get("/userinfo")
def userinfo() -> Any:
    bearer = flask.request.headers["Authorization"].removeprefix("Bearer ")
    claims = claims_of(world.tokens[bearer])
    return claims | ({"sub": "another"} if world.fault == "another's user info" else {})


@app.get("/favicon.ico")
def icon() -> Any:
    return "", 204


@app.get("/leave")
def leave() -> str:
    return LEFT_PAGE


@app.put("/people")
def set_people() -> Any:
    world.people = flask.request.json or {}
    return {}


@app.put("/fault")
def set_fault() -> Any:
    world.fault = (flask.request.json or {})["fault"]
    return {}


class OidcProvider:
    """The process, seen from a test."""

    def __init__(self, issuer: str) -> None:
        self.issuer = issuer
        self._http = httpx.Client(base_url=issuer, trust_env=False)

    def knows(self, **people: dict[str, Any]) -> None:
        self._http.put("/people", json=people).raise_for_status()

    def does_wrong(self, fault: str) -> None:
        self._http.put("/fault", json={"fault": fault}).raise_for_status()

    def sign_in(self, address: str, subject: str) -> str:
        """What a person does there: the address that the browser is sent back to."""
        shown = self._http.get(address)
        assert shown.text == PAGE, shown.text
        return str(self._http.post(address, data={"sub": subject}).headers["Location"])

    def close(self) -> None:
        self._http.close()


@contextmanager
def oidc_provider() -> Iterator[OidcProvider]:
    """Starts the process, and ends it."""
    port = free_port()
    environment = {**os.environ, "AUTHLIB_INSECURE_TRANSPORT": "1"}
    command = [sys.executable, "-m", "tests.support.oidc_provider", str(port)]
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    provider = OidcProvider(f"http://127.0.0.1:{port}")
    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                provider.knows()
                break
            except httpx.TransportError:
                if process.poll() is not None or time.monotonic() > deadline:
                    raise
                time.sleep(0.05)
        yield provider
    finally:
        provider.close()
        process.terminate()
        process.wait()


if __name__ == "__main__":
    app.run("127.0.0.1", int(sys.argv[1]), threaded=True)
