"""What the environment may say of an identity provider; half of it is refused by its name."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from control_plane.domain.access import Role
from control_plane.settings.csp import content_security_policy
from control_plane.settings.oidc import SECRET, oidc, password_login, public_url
from stack.passed_on import PASSED_ON
from stack.settings import CHECKOUT

WHOLE = {
    "NEREID_OIDC_ISSUER": "https://id.example.com/realms/main",
    "NEREID_OIDC_CLIENT_ID": "nereid",
    "NEREID_OIDC_CLIENT_SECRET": "s3cret",
    "NEREID_OIDC_ROLES": '{"vision": "publisher", "platform": ["operator", "admin"]}',
}


def test_nothing_is_none_and_the_whole_is_read() -> None:
    assert oidc({"NEREID_HOME": "/x", "NEREID_OIDC_ISSUER": ""}) is None
    said = oidc(WHOLE)
    assert said is not None
    assert (said.name, said.origin) == ("id.example.com", "https://id.example.com")
    assert said.scopes == "openid profile email"
    assert said.rules.roles["platform"] == {Role.OPERATOR, Role.ADMIN}
    assert said.session_s == 12 * 3600
    assert "s3cret" not in repr(said)


def test_the_secret_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    rest = {k: v for k, v in WHOLE.items() if "SECRET" not in k}
    named = {**rest, "NEREID_OIDC_CLIENT_SECRET_FILE": str(file)}
    with pytest.raises(ImproperlyConfigured, match=r"_FILE=.* cannot be read"):
        oidc(named)
    file.write_text("\n")
    with pytest.raises(ImproperlyConfigured, match="is empty"):
        oidc(named)
    file.write_text("from-a-file\n")
    said = oidc(named)
    assert said is not None
    assert said.client_secret == "from-a-file"
    with pytest.raises(ImproperlyConfigured, match="both set"):
        oidc({**WHOLE, **named})


@pytest.mark.parametrize(
    ("change", "words"),
    [
        *(({name: ""}, f"{name} is not") for name in WHOLE),
        ({"NEREID_OIDC_ISSUER": "id.example.com"}, "NEREID_OIDC_ISSUER=id.example.com"),
        ({"NEREID_OIDC_ISSUER": "http://id.example.com"}, "https://"),
        ({"NEREID_OIDC_ISSUER": "https://id.example.com/?a=b"}, "an address such as"),
        ({"NEREID_OIDC_ISSUER": "https://ada:s3cret@id.example.com"}, "shown to whoever"),
        ({"NEREID_OIDC_ISSUER": "https://[bad"}, "an address such as"),
        ({"NEREID_OIDC_ROLES": "vision=publisher"}, "no JSON"),
        ({"NEREID_OIDC_ROLES": "[]"}, "no object"),
        ({"NEREID_OIDC_ROLES": "{}"}, "no object"),
        ({"NEREID_OIDC_ROLES": '{"vision": "king"}'}, "'vision' is 'king'"),
        ({"NEREID_OIDC_ROLES": '{"vision": [["admin"]]}'}, "a role is viewer"),
        ({"NEREID_OIDC_SCOPES": "email"}, "openid"),
        ({"NEREID_OIDC_EMAIL_DOMAINS": " ,"}, "for all, leave it out"),
        ({"NEREID_OIDC_EMAIL_DOMAINS": "x.org,ada@x.org"}, "domains with commas"),
        ({"NEREID_OIDC_EMAIL_DOMAINS": "*.x.org"}, "domains with commas"),
        ({"NEREID_OIDC_SESSION_S": "soon"}, "NEREID_OIDC_SESSION_S=soon"),
        ({"NEREID_OIDC_SESSION_S": "0"}, "from 60"),
    ],
)
def test_half_of_it_is_refused(change: dict[str, str], words: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=words.replace("[", r"\[")):
        oidc({**WHOLE, **change})


def test_a_password_in_the_issuer_is_not_told() -> None:
    with pytest.raises(ImproperlyConfigured) as refused:
        oidc({**WHOLE, "NEREID_OIDC_ISSUER": "https://ada:w0rd@id.example.com"})
    assert "w0rd" not in str(refused.value)


def test_domains_of_addresses() -> None:
    said = oidc({**WHOLE, "NEREID_OIDC_EMAIL_DOMAINS": "@X.org, y.org,"})
    assert said is not None
    assert said.rules.email_domains == {"x.org", "y.org"}


def test_a_provider_on_this_machine_needs_no_tls() -> None:
    assert oidc({**WHOLE, "NEREID_OIDC_ISSUER": "http://127.0.0.1:9000"})


def test_passwords_may_be_switched_off_where_there_is_another_way() -> None:
    said = oidc(WHOLE)
    assert password_login({}, None)
    assert password_login({}, said)
    assert not password_login({"NEREID_PASSWORD_LOGIN": "off"}, said)
    with pytest.raises(ImproperlyConfigured, match="nobody could come in"):
        password_login({"NEREID_PASSWORD_LOGIN": "off"}, None)
    with pytest.raises(ImproperlyConfigured, match="NEREID_PASSWORD_LOGIN=no"):
        password_login({"NEREID_PASSWORD_LOGIN": "no"}, said)


def test_the_public_address() -> None:
    assert public_url({}) == ""
    assert public_url({"NEREID_PUBLIC_URL": "https://n.example.com/"}) == "https://n.example.com"
    more = ("https://n.example.com?a=b", "https://n.example.com#x", "https://ada@n.example.com")
    for wrong in ("n.example.com", "https://n.example.com/path", "ftp://x", *more):
        with pytest.raises(ImproperlyConfigured, match="NEREID_PUBLIC_URL"):
            public_url({"NEREID_PUBLIC_URL": wrong})


def test_forms_go_to_us_and_to_the_provider() -> None:
    said = content_security_policy(["https://id.example.com"])["DIRECTIVES"]
    assert said["form-action"] == ["'self'", "https://id.example.com"]


def test_the_stack_and_compose_pass_every_variable_on() -> None:
    source = (CHECKOUT / "control_plane/settings/oidc.py").read_text()
    whole = (CHECKOUT / "docker-compose.yml").read_text()
    compose = whole + (CHECKOUT / "deploy/compose.oidc.yml").read_text()
    named = {*re.findall(r"\bNEREID_[A-Z_]*[A-Z]\b", source), f"{SECRET}_FILE"} - {"NEREID_OIDC"}
    assert named <= set(PASSED_ON)
    # Of the secret itself compose knows the file alone.
    assert {name for name in named if f"{name}: " not in compose} == {SECRET}
    assert len(named) == 12
