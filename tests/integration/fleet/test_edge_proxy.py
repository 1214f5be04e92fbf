"""The real Envoy with the files that are written for it: it takes them, and does what they say."""

from __future__ import annotations

import datetime
import http.client
import json
import ssl
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from joserfc import jwt
from joserfc.jwk import ECKey

from control_plane.adapters.edge.addresses import Addresses
from control_plane.adapters.edge.administration import ask_admin, look_at
from control_plane.adapters.edge.binary import EnvoyMissingError, find_envoy
from control_plane.adapters.edge.files import write_files
from control_plane.domain.edge.files import BOOTSTRAP, edge_files
from control_plane.domain.edge.fleet import EdgeFleet, KnownServer
from control_plane.domain.edge.options import Tokens
from control_plane.domain.edge.sight import AWAY, PROTOCOLS, TAKEN, versions_of
from stack import edge
from stack.ports import free_port
from tests.support.processes import eventually
from tests.support.upstreams import Upstream, ask, fleet_of, running, started, write

ISSUER, TOKEN = "https://id.example", "a-token-of-some-length"


@pytest.fixture(scope="module")
def envoy() -> Path:
    try:
        return find_envoy()
    except EnvoyMissingError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def fleet() -> Iterator[EdgeFleet]:
    with Upstream("one") as one:
        yield fleet_of(one)


def test_envoy_says_which_files_it_has_in_use_and_whom_it_sends_to(
    envoy: Path, fleet: EdgeFleet, tmp_path: Path
) -> None:
    with running(envoy, fleet, tmp_path) as own:
        files = edge_files(own.options, fleet)
        written = versions_of(files)
        assert set(written) == set(TAKEN)
        seen = look_at(own.options.admin, written)
        assert seen.live
        assert seen.behind == ()
        assert seen.servers == {"one": dict.fromkeys(PROTOCOLS, "")}
        assert seen.listeners == {
            "http": f"127.0.0.1:{own.options.http_port}",
            "grpc": f"127.0.0.1:{own.options.grpc_port}",
        }
        # A server whose gate nobody answers at, and routes that Envoy refuses.
        nowhere = f"127.0.0.1:{free_port()}"
        more = Addresses().fleet([KnownServer("two", *[nowhere] * 3)])
        changed = edge_files(own.options, EdgeFleet((*fleet.servers, *more.servers)))
        refused = json.loads(changed["routes-http.json"])
        refused["version_info"], refused["resources"][0]["virtual_hosts"] = "refused", [{}]
        changed["routes-http.json"] = json.dumps(refused)
        content = {name: text.encode() for name, text in changed.items()}
        write_files(Path(own.options.folder), content)
        written = versions_of(changed)

        def left_out() -> str:
            return look_at(own.options.admin, written).servers.get("two", {}).get("grpc", "")

        assert eventually(lambda: left_out() == "its gate is closed, or nobody answers there", 30)
        assert look_at(own.options.admin, written).behind == ("routes-http.json",)
    assert look_at(own.options.admin, written) == AWAY


def certificate(folder: Path) -> tuple[Path, Path]:
    """A self-signed one for 127.0.0.1, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    day = datetime.timedelta(days=1)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - day)
        .not_valid_after(now + day)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    paths = folder / "cert.pem", folder / "key.pem"
    paths[0].write_bytes(made.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return paths


def test_envoy_takes_every_file_and_closes_what_is_no_callers(
    envoy: Path, fleet: EdgeFleet, tmp_path: Path
) -> None:
    with running(
        envoy,
        fleet,
        tmp_path,
        NEREID_EDGE_MAX_BODY="1MiB",
        NEREID_EDGE_REQUESTS_PER_SECOND="1000",
    ) as own:
        # What it looks at when it only validates is the file that it starts with.
        valid = [str(envoy), "--mode", "validate", "-c", str(own.bootstrap)]
        assert subprocess.run(valid, capture_output=True, check=False).returncode == 0
        counted = dict(
            line.split(": ")
            for line in ask_admin(own.options.admin, "/stats").decode().splitlines()
            if ": " in line
        )
        rejected = {name: n for name, n in counted.items() if name.endswith("update_rejected")}
        assert len(rejected) >= 6
        assert set(rejected.values()) == {"0"}
        assert ask(own).status == 200
        assert ask(own, body=b"x" * (1 << 20)).status == 200
        assert ask(own, body=b"x" * ((1 << 20) + 1)).status == 413
        for path in ("/v2/repository/index", "/v2/logging", "/v2/models/../repository/index"):
            assert ask(own, path).status == 403, path
        assert ask(own, "/v2/models/..%2Frepository/index").status == 400
        assert ask(own, **{"nereid-control": "any"}).status == 403
        assert (Path(own.options.folder) / BOOTSTRAP).stat().st_mode & 0o077 == 0


def test_too_many_requests_are_told_so(envoy: Path, fleet: EdgeFleet, tmp_path: Path) -> None:
    with running(envoy, fleet, tmp_path, NEREID_EDGE_REQUESTS_PER_SECOND="1") as own:
        assert 429 in {ask(own).status for _ in range(3)}


def test_listed_tokens_open_and_go_no_further(
    envoy: Path, fleet: EdgeFleet, tmp_path: Path
) -> None:
    listed = tmp_path / "tokens"
    listed.write_text(f"# who  token\napp {TOKEN}\n")
    certificate_file, key = certificate(tmp_path)
    files = {"NEREID_EDGE_CERTIFICATE": str(certificate_file), "NEREID_EDGE_KEY": str(key)}
    with running(envoy, fleet, tmp_path, NEREID_EDGE_TOKENS=str(listed), **files) as own:
        context = ssl.create_default_context(cafile=str(certificate_file))
        context.check_hostname = False
        assert ask(own, context=context).status == 401
        assert ask(own, context=context, authorization="Bearer another-token-or-so").status == 401
        opened = ask(own, context=context, authorization=f"Bearer {TOKEN}")
        assert (opened.status, opened.headers["was-shown"]) == (200, "")
        assert ask(own, "/v2/health/ready", context=context).status == 200, "probes have no token"


def test_another_list_of_tokens_counts_at_once_and_closes_no_connection(
    envoy: Path, fleet: EdgeFleet, tmp_path: Path
) -> None:
    listed = tmp_path / "tokens"
    listed.write_text(f"app {TOKEN}\n")
    with running(envoy, fleet, tmp_path, NEREID_EDGE_TOKENS=str(listed)) as own:
        connection = http.client.HTTPConnection("127.0.0.1", own.options.http_port, timeout=20)

        def status(token: str) -> int:
            connection.request("GET", "/v2", headers={"authorization": f"Bearer {token}"})
            response = connection.getresponse()
            response.read()
            return response.status

        assert (status(TOKEN), status("another-token-or-so")) == (200, 401)
        there = connection.sock
        access = Tokens({"another-token-or-so": "app"})
        write(replace(own.options, access=access), fleet)
        assert eventually(lambda: status(TOKEN) == 401, 10)
        assert status("another-token-or-so") == 200
        assert connection.sock is there
        connection.close()


def test_one_that_refuses_a_listener_is_not_ready(
    envoy: Path, fleet: EdgeFleet, tmp_path: Path
) -> None:
    keys = tmp_path / "jwks.json"
    keys.write_text("no keys")
    asked = {"NEREID_EDGE_JWKS": str(keys), "NEREID_EDGE_JWT_ISSUER": ISSUER}
    with started(envoy, fleet, tmp_path, **asked) as own:
        assert eventually(lambda: edge.healthy(own) == {"one"}, 30)
        assert ask_admin(own.options.admin, "/ready") == b"LIVE\n"
        assert not edge.is_live(own)


def test_signed_tokens_open_while_they_are_of_the_issuer_and_for_us(
    envoy: Path, fleet: EdgeFleet, tmp_path: Path
) -> None:
    key = ECKey.generate_key("P-256", {"kid": "one"})
    keys = tmp_path / "jwks.json"
    keys.write_text(json.dumps({"keys": [key.as_dict(private=False)]}))
    asked = {"NEREID_EDGE_JWT_ISSUER": ISSUER, "NEREID_EDGE_JWT_AUDIENCES": "models"}

    def signed(**claims: object) -> str:
        late = int(time.time()) + 300
        usual = {"iss": ISSUER, "aud": "models", "sub": "app", "exp": late}
        made = jwt.encode({"alg": "ES256", "kid": "one"}, {**usual, **claims}, key)
        return f"Bearer {made}"

    with running(envoy, fleet, tmp_path, NEREID_EDGE_JWKS=str(keys), **asked) as own:
        assert ask(own).status == 401
        asked_for = signed().partition(" ")[2]
        assert ask(own, f"/v2?access_token={asked_for}").status == 401, "it would be logged"
        opened = ask(own, authorization=signed())
        assert (opened.status, opened.headers["was-shown"]) == (200, "")
        assert ask(own, authorization=signed(iss="https://another")).status == 401
        assert ask(own, authorization=signed(aud="billing")).status == 403
        assert ask(own, authorization=signed(exp=1)).status == 401


def test_what_a_server_is_shown_is_what_the_caller_sent_less_what_is_for_the_edge(
    envoy: Path, tmp_path: Path
) -> None:
    with Upstream("one") as one, running(envoy, fleet_of(one), tmp_path) as own:
        one.takes_s = 0.3
        said = {
            **{"nereid-model": "digits", "nereid-retry": "never", "x-request-id": "mine"},
            # Callers would decide by them what is said here.
            **{"x-envoy-upstream-rq-timeout-ms": "1", "x-envoy-max-retries": "0"},
        }
        assert ask(own, **said).status == 200
        shown = {name.lower(): value for name, value in one.shown.items()}
        assert shown["x-request-id"] == "mine"
        assert not {"nereid-model", "nereid-retry"} & shown.keys()


def test_a_model_that_fails_takes_no_server_out_and_a_shut_gate_does(
    envoy: Path, tmp_path: Path
) -> None:
    with (
        Upstream("one") as one,
        Upstream("two") as two,
        running(envoy, fleet_of(one, two), tmp_path) as own,
    ):
        one.status = two.status = 500
        assert {ask(own).status for _ in range(20)} == {500}
        one.status = two.status = 200
        assert edge.healthy(own) == {"one", "two"}
        two.is_ready = False
        assert eventually(lambda: edge.healthy(own) == {"one"}, 10)
        before = two.asked
        assert {ask(own).status for _ in range(10)} == {200}
        assert two.asked == before
        one.is_ready = False
        assert eventually(lambda: edge.healthy(own) == set(), 10)
        assert {ask(own).status for _ in range(10)} == {200}, "with all gates shut all are asked"


def test_who_was_removed_is_left_though_it_is_well(envoy: Path, tmp_path: Path) -> None:
    with (
        Upstream("one") as one,
        Upstream("two") as two,
        running(envoy, fleet_of(one, two), tmp_path) as own,
    ):
        write(own.options, fleet_of(one))
        assert eventually(lambda: edge.healthy(own) == {"one"}, 10)
        before = two.asked
        assert {ask(own).status for _ in range(10)} == {200}
        assert two.asked == before


def test_many_that_break_off_at_once_are_all_sent_again(envoy: Path, tmp_path: Path) -> None:
    """Envoy's own bound is three at a time."""
    with (
        Upstream("one") as one,
        Upstream("two") as two,
        running(envoy, fleet_of(one, two), tmp_path) as own,
    ):
        two.breaks_off = True
        two.takes_s = 0.3
        with ThreadPoolExecutor(40) as callers:
            found = set(callers.map(lambda _: ask(own).status, range(40)))
        assert two.asked > 3
        assert found == {200}
