"""Where webhooks may go: nowhere that only this server can reach, unless it was allowed."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control_plane.domain.violations import InvalidInputError
from control_plane.domain.webhooks.addresses import Allowed, check_url, first_refusal, refusal

NOTHING = Allowed()


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.8.8.8",
        "0.0.0.0",
        "10.0.0.1",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "192.0.2.1",
        "192.88.99.1",
        "198.18.0.1",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::127.0.0.1",
        "::ffff:127.0.0.1",
        "::ffff:169.254.169.254",
        "64:ff9b::7f00:1",
        "64:ff9b:1::1",
        "2001:db8::1",
        "2001::1",
        "2002:7f00:1::",
        "fe80::1",
        "fe80::1%eth0",
        "fc00::1",
        "fd00:ec2::254",
        "fec0::1",
        "ff02::1",
    ],
)
def test_what_only_this_server_reaches_is_refused(address: str) -> None:
    said = refusal("hooks.example.com", address, NOTHING)
    assert "hooks.example.com is " in said
    assert "NEREID_WEBHOOK_ALLOW" in said


@pytest.mark.parametrize("address", ["1.1.1.1", "93.184.215.14", "::ffff:1.1.1.1", "2606:4700::1"])
def test_the_public_internet_is_open(address: str) -> None:
    assert refusal("hooks.example.com", address, NOTHING) == ""


PRIVATE = st.sampled_from(
    [
        "127.0.0.0/8",
        "10.0.0.0/8",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "169.254.0.0/16",
        "224.0.0.0/4",
    ]
).flatmap(
    lambda net: st.integers(
        int(ip_network(net).network_address), int(ip_network(net).broadcast_address)
    ).map(IPv4Address)
)


@given(PRIVATE)
def test_no_way_of_writing_a_private_address_makes_it_public(address: IPv4Address) -> None:
    mapped = IPv6Address(b"\0" * 10 + b"\xff\xff" + address.packed)
    translated = IPv6Address(bytes.fromhex("0064ff9b") + b"\0" * 8 + address.packed)
    relayed = IPv6Address(b"\x20\x02" + address.packed + b"\0" * 10)
    compatible = IPv6Address(b"\0" * 12 + address.packed)
    for one in (address, mapped, translated, relayed, compatible):
        assert refusal("h", str(one), NOTHING), one
    network = Allowed.of(f"{address}/32")
    assert not refusal("h", str(address), network)
    assert not refusal("h", str(mapped), network)


def test_one_refused_address_refuses_the_host() -> None:
    assert "127.0.0.1" in first_refusal("h", ["1.1.1.1", "127.0.0.1"], NOTHING)
    assert first_refusal("h", ["1.1.1.1", "1.0.0.1"], NOTHING) == ""


def test_an_operator_allows_hosts_and_networks() -> None:
    allowed = Allowed.of("hooks.internal, 10.1.0.0/16,192.168.7.9, fd00::/8")
    assert not refusal("Hooks.Internal.", "127.0.0.1", allowed)
    assert refusal("other.internal", "127.0.0.1", allowed)
    assert not refusal("h", "10.1.2.3", allowed)
    assert refusal("h", "10.2.0.1", allowed)
    assert not refusal("h", "192.168.7.9", allowed)
    assert not refusal("h", "fd00::1", allowed)
    for wrong in ("10.0.0.1/8", "a b", "http://x", "10.0.0.0/99"):
        with pytest.raises(ValueError, match="NEREID_WEBHOOK_ALLOW"):
            Allowed.of(wrong)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "hooks.example.com",
        "ftp://hooks.example.com/",
        "file:///etc/passwd",
        "HTTPS:/hooks",
        "HTTPS://hooks.example.com/",
        "hTTp://hooks.example.com/",
        "https://",
        "https:///path",
        "https://user:pass@hooks.example.com/",
        "https://user@hooks.example.com/",
        "https://hooks.example.com/#fragment",
        "https://hooks.example.com:0/",
        "https://hooks.example.com:99999/",
        "https://hooks.example.com:port/",
        "https://hooks example.com/",
        "https://hooks.example.com/a\r\nX-Evil: 1",
        "https://hooks.example.com/\x00",
        "https://hooks.example.com/\u00e9",
        "https://h\u00f6oks.example.com/",
        "https://hooks.example.com\\@127.0.0.1/",
        "https://[::1",
        "https://[::1]/",
        "https://127.0.0.1/",
        "https://a..b/",
        "https://" + "a" * 64 + ".com/",
        "https://x/" + "a" * 2000,
    ],
)
def test_what_is_no_receivers_url(url: str) -> None:
    with pytest.raises(InvalidInputError) as refused:
        check_url(url, NOTHING)
    assert refused.value.violations[0].pointer == "/url"


@pytest.mark.parametrize(
    "url",
    [
        "https://hooks.example.com",
        "http://hooks.example.com:8080/path?key=a%20b&x=1",
        "https://xn--hks-snaa.example.com/",
        "https://1.1.1.1/hook",
        "https://[2606:4700::1]:8443/hook",
    ],
)
def test_what_is_one(url: str) -> None:
    check_url(url, NOTHING)


@given(st.text())
def test_a_url_is_fine_or_refused_and_a_fine_one_has_one_line(text: str) -> None:
    for url in (text, f"https://hooks.example.com/{text}"):
        try:
            check_url(url, NOTHING)
        except InvalidInputError:
            continue
        assert url.isascii()
        assert url.isprintable()
        assert " " not in url
