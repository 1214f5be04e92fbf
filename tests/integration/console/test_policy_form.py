"""The whole policy as a form: nothing is lost on the way there and back."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from django.http import QueryDict
from django.template.loader import render_to_string
from django.test import Client
from hypothesis import given, settings
from hypothesis import strategies as st

from control_plane.console.policy_draft import PolicyDraft
from control_plane.console.policy_page import form_context
from control_plane.console.policy_text import lines, quoted, texts, unquoted
from control_plane.domain.routing.document import parse_policy, to_document
from control_plane.domain.violations import InvalidInputError
from control_plane.endpoints.models import Endpoint
from tests.integration.console.forms import form_fields
from tests.integration.console.test_policy_page import there
from tests.support.policies import documents

WHOLE = {
    "arms": [
        {"name": "stable", "model": "digits", "version": 1, "weight": 90, "primary": True},
        {
            **{"name": "candidate", "model": "digits", "version": 2, "weight": 10},
            **{"cost": 1.5, "accuracy": 0.98, "max_in_flight": 64, "timeout": "500ms"},
            **{"overflow": None, "allowance": {"attempts": 1000, "failures": 20}},
        },
    ],
    "sticky": {"key": "header:x-user-id"},
    "rules": [
        {"when": {"header:x-tenant-id": {"in": ["acme", "globex"]}}, "arm": "candidate"},
        {"when": {"parameter:tier": {"prefix": "gold", "equals": "golden"}}, "arm": "stable"},
    ],
    "shadow": [{"arm": "candidate", "percent": 20, "compare": "logits"}],
    "breaker": {"consecutive_failures": 7, "failure_rate": 0.125, "latency": "250ms"},
    "slow_start": {"window": "45s", "aggression": 1.5},
    "rescue": {"enabled": False, "budget_percent": 12.5, "floor": 1},
    "sequences": {"on_change": "cut", "idle": "10m"},
}


def sent(fields: dict[str, list[str]]) -> QueryDict:
    data = QueryDict(mutable=True)
    for name, values in fields.items():
        data.setlist(name, values)
    return data


def rendered(draft: PolicyDraft, document: dict[str, Any], monkeypatch: Any) -> str:
    """The page's form, without a database behind it."""
    choices = [
        SimpleNamespace(value=row.version, label=row.version, model="digits", outputs=("logits",))
        for row in draft.rows
    ]
    monkeypatch.setattr("control_plane.console.policy_page.version_choices", lambda used: choices)
    endpoint = Endpoint(name="digits", policy=document)
    context = form_context(endpoint, draft) | {"original": endpoint}
    names = ("sticky", "rules", "shadow", "confidence", "protection", "mode", "sequences")
    parts = [render_to_string(f"console/parts/policy_{name}.html", context) for name in names]
    arms = [
        render_to_string("console/parts/arm_row.html", {**context, "row": row, "limits": limits})
        for row, limits in context["rows"]
    ]
    return "".join([*arms, *parts])


def stored(document: dict[str, Any]) -> dict[str, Any] | None:
    """The document as it is kept, which is what the page is made from."""
    try:
        return to_document(parse_policy(document))
    except InvalidInputError:
        return None


policies = documents(grants=True).map(stored).filter(bool)


@settings(max_examples=25, deadline=None)
@given(policies)
def test_what_a_browser_sends_back_is_the_policy_that_was_shown(document: dict[str, Any]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        page = rendered(PolicyDraft.from_policy(document), document, patch)
    draft = PolicyDraft.from_post(sent(form_fields(page)))
    assert not draft.clashes()
    assert parse_policy(draft.document()) == parse_policy(document)


@settings(max_examples=40, deadline=None)
@given(policies)
def test_a_draft_says_the_same_before_it_was_sent(document: dict[str, Any]) -> None:
    draft = PolicyDraft.from_policy(document)
    assert parse_policy(draft.document()) == parse_policy(document)


any_text = st.text(st.characters(codec="utf-8"))


@given(st.lists(any_text))
def test_texts_survive_a_field_whatever_is_in_them(values: list[str]) -> None:
    assert texts(lines(values).replace("\n", "\r\n")) == values


@given(any_text)
def test_a_text_survives_a_field_of_one_line(value: str) -> None:
    field = quoted(value)
    assert field.strip() == field
    assert "\n" not in field
    assert "\r" not in field
    assert unquoted(field) == value


@pytest.fixture
def whole(digits: Endpoint, admin: Client) -> dict[str, list[str]]:
    """The fields of the page of a policy that uses everything."""
    digits.policy = to_document(parse_policy(WHOLE))
    digits.save(update_fields=["policy"])
    page = admin.get(there(digits))
    assert page.status_code == 200
    return form_fields(page)


def preview(admin: Client, endpoint: Endpoint, fields: dict[str, Any]) -> Any:
    return admin.post(there(endpoint), {**fields, "preview": "1"})


def test_a_change_of_weights_keeps_all_the_rest(
    digits: Endpoint, admin: Client, whole: dict[str, list[str]]
) -> None:
    fields = {**whole, "arm.1.weight": "75", "arm.2.weight": "25"}
    page = preview(admin, digits, fields)
    assert page.status_code == 200
    fields = {**fields, "previewed": page.context["previewed"], "apply": "1"}
    assert admin.post(there(digits), fields).status_code == 302
    digits.refresh_from_db()
    expected = to_document(parse_policy(WHOLE))
    expected["arms"][0]["weight"], expected["arms"][1]["weight"] = 75, 25
    assert digits.policy == expected


def test_what_leads_to_an_arm_follows_its_name(
    digits: Endpoint, admin: Client, whole: dict[str, list[str]]
) -> None:
    document = PolicyDraft.from_post(sent({**whole, "arm.2.name": ["challenger"]})).document()
    policy = parse_policy(document)
    assert policy.rules[0].arm == "challenger"
    assert policy.shadows[0].arm == "challenger"


def test_what_leads_to_a_removed_arm_is_refused_where_it_stands(
    digits: Endpoint, admin: Client, whole: dict[str, list[str]]
) -> None:
    fields = {**whole, "arm": "1", "arm.1.weight": "100"}
    page = preview(admin, digits, fields)
    draft = page.context["draft"]
    assert page.status_code == 400
    assert draft.rules[0]["arm"].errors == ("choose an arm",)
    assert draft.shadows[0]["arm"].errors == ("choose an arm",)
    assert not draft.rules[1].wrong


BROKEN = (
    ("arm.2.timeout", "5", "a duration is a number"),
    ("arm.2.max_in_flight", "many", "whole number"),
    ("arm.2.accuracy", "98", "from 0 to 1"),
    ("arm.2.attempts", "0", "whole number"),
    ("arm.2.until", "tomorrow", "a time looks like"),
    ("arm.2.overflow", "7", "is not another arm"),
    ("sticky.name", "Cookie", "never forwarded"),
    ("sticky.salt", "x" * 501, "at most 500"),
    ("rule.1.1.name", "authorization", "never forwarded"),
    ("rule.1.1.name", "", "a key is"),
    ("rule.1.1.values", "", "say what to compare with"),
    ("rule.2.1.values", "a\r\nb", "is one of"),
    ("rule.2.2.test", "equals", "say it in one row"),
    ("shadow.1.percent", "200", "0 to 100"),
    ("shadow.1.arm", "1", "the primary answers by itself"),
    ("breaker.window", "ten", "a duration is a number"),
    ("breaker.max_open", "1s", "shorter than open"),
    ("breaker.failure_rate", "120", "a percent from 0 to 100"),
    ("slow_start.aggression", "0", "is not a number from"),
    ("rescue.budget_percent", "12.345", "two decimals"),
    ("sequences.idle", "0s", "not within"),
    ("sequences.on_change", "stop", "'finish' or 'cut'"),
    ("mode", "random", "'weighted' or 'adaptive'"),
)


@pytest.mark.parametrize(("name", "value", "words"), BROKEN)
def test_what_is_wrong_is_said_at_its_field_and_nothing_typed_is_lost(
    digits: Endpoint,
    admin: Client,
    whole: dict[str, list[str]],
    name: str,
    value: str,
    words: str,
) -> None:
    page = preview(admin, digits, {**whole, name: value})
    assert page.status_code == 400
    text = page.content.decode()
    described = text.split(f'id="{name}.wrong"')
    assert len(described) == 2, "said once, at that field"
    assert words in described[1].split("</p>")[0].replace("&#x27;", "'")
    assert page.context["draft"].errors == []
    again = form_fields(page)
    if name not in ("arm.2.overflow", "sequences.on_change", "mode"):  # no choice of the page's
        assert again[name] == [value]
    other = (name, "csrfmiddlewaretoken")
    assert {k: v for k, v in again.items() if k not in other} == {
        k: v for k, v in whole.items() if k not in other
    }


def test_a_part_that_is_wrong_is_unfolded_and_the_others_say_what_they_were(
    digits: Endpoint, admin: Client, whole: dict[str, list[str]]
) -> None:
    page = preview(admin, digits, {**whole, "breaker.window": "ten"})
    says = page.context["says"]
    assert "breaker" not in says
    assert says["sticky"] == "by header:x-user-id"
    folds = page.content.decode().split('<details class="n-fold"')[1:]
    opened = [fold.split("</span>")[0].rpartition(">")[2] for fold in folds if " open>" in fold[:8]]
    assert opened == ["Protection"]
    assert [limits.partition(";")[0] for _, limits in page.context["rows"]] == [
        "",
        "at most 64 in flight, more are refused",
    ]
    page = preview(admin, digits, {**whole, "arm.2.overflow": "", "breaker.window": "ten"})
    assert "64 in flight, then the primary;" in page.context["rows"][1][1]


def test_what_the_draft_changes_is_marked_in_its_summary(
    digits: Endpoint, admin: Client, whole: dict[str, list[str]]
) -> None:
    fields = {**whole, "sticky.source": ""}
    fields.pop("breaker.on")
    page = preview(admin, digits, fields)
    assert page.context["changed"] == {"sticky", "breaker"}
    assert page.context["says"]["breaker"] == "off"


def test_a_part_that_was_off_offers_the_defaults(digits: Endpoint, admin: Client) -> None:
    fields = form_fields(admin.get(there(digits)))
    assert "slow_start.on" not in fields
    document = PolicyDraft.from_post(sent({**fields, "slow_start.on": ["on"]})).document()
    assert document["slow_start"] == {"window": "30s", "aggression": 1}


def test_a_hundred_rules_are_read_back(digits: Endpoint, admin: Client) -> None:
    rule = {"when": {"header:x-user-id": {"equals": "ada"}}, "arm": "digits-v1"}
    draft = PolicyDraft.from_policy({**digits.policy, "rules": [rule] * 100})
    assert len(parse_policy(draft.document()).rules) == 100


def test_keys_that_no_page_of_ours_wrote_are_no_rows(digits: Endpoint) -> None:
    data = sent({"arm": ["1", "1", "x", "9" * 99], "rule": ["../"], "shadow": [""]})
    draft = PolicyDraft.from_post(data)
    assert [row.key for row in draft.rows] == ["1"]
    assert (draft.rules, draft.shadows) == ([], [])
    with pytest.raises(InvalidInputError):
        parse_policy(draft.document())
