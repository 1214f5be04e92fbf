"""A log line as JSON says of which request and endpoint it is, whatever the message has in it."""

from __future__ import annotations

import json
import logging
import sys

import pytest

from control_plane.adapters.tracing import is_wanted, traces_url
from control_plane.audit.logs import JsonLines, LogSettingsError, TextLines, logging_config
from control_plane.audit.request import answering
from control_plane.audit.subject import about


def line(message: str, *values: object, failed: bool = False) -> str:
    why = sys.exc_info() if failed else None
    record = logging.LogRecord("nereid", logging.INFO, "", 0, message, values, why)
    return JsonLines().format(record)


def test_a_line_says_whose_it_is() -> None:
    with answering("r-1"), about(rollout="7"), about(endpoint="digits", generation=3):
        said = json.loads(line("%s was switched", "digits"))
    assert said.pop("time").endswith("+00:00")
    assert said == {
        "level": "INFO",
        "logger": "nereid",
        "message": "digits was switched",
        "request_id": "r-1",
        "rollout": "7",
        "endpoint": "digits",
        "generation": 3,
    }
    assert "request_id" not in json.loads(line("later")), "nothing of it stays"


def test_no_message_makes_a_second_line() -> None:
    try:
        raise ValueError('two\nlines, "quoted"')
    except ValueError as error:
        text = line("it failed: %s", error, failed=True)
    assert "\n" not in text
    said = json.loads(text)
    assert said["message"] == 'it failed: two\nlines, "quoted"'
    assert "Traceback" in said["exception"]


def test_what_is_no_character_is_written_all_the_same() -> None:
    text = line("%s was read", "caf\udce9 é")
    assert text.encode().decode() == text
    assert "é" in text
    assert json.loads(text)["message"] == "caf\udce9 é was read"


TOKEN = "nrd_" + "Zm9v-YmFy_" * 4
SPOKEN = (
    f"Not Found: /api/v1/models/{TOKEN}/",
    f"Invalid HTTP Header: 'AUTHORIZATION : BEARER {TOKEN}'",
    'Invalid HTTP Header: "Authorization  : Basic aGlkZGVuLXdvcmQ=hidden-word"',
    "it said Bearer hidden-word-of-another-kind, and went",
    "the receiver wants whsec_aGlkZGVuLXdvcmQ+hidden-word/=",
    "connection to postgresql://nereid:hidden-word@db:5432/nereid failed",
    "no answer from redis://:hidden-word@127.0.0.1:6379/0",
)
"""Of each the secret is `hidden-word` or the token."""


@pytest.mark.parametrize("words", SPOKEN)
def test_no_line_has_a_secret_that_can_be_told(words: str) -> None:
    try:
        raise ValueError(words)
    except ValueError:
        why = sys.exc_info()
    record = logging.LogRecord("nereid", logging.ERROR, "", 0, "it was: %s", (words,), why)
    record.request = ""
    for form in (JsonLines(), TextLines("%(levelname)s %(name)s%(request)s: %(message)s")):
        with answering(TOKEN):
            said = form.format(record)
        assert "hidden-word" not in said
        assert TOKEN not in said
        assert "…" in said


def test_a_line_without_one_is_left_alone() -> None:
    words = "basic configuration of https://host:8080/a@b, bearer of news, nrd_x, ada@example.com"
    assert words in line(words)


def test_there_are_two_forms() -> None:
    assert logging_config({})["handlers"]["stderr"]["formatter"] == "text"
    assert (
        logging_config({"NEREID_LOG_FORMAT": "json"})["handlers"]["stderr"]["formatter"] == "json"
    )
    with pytest.raises(LogSettingsError, match="there is text, and json"):
        logging_config({"NEREID_LOG_FORMAT": "xml"})


def test_traces_are_sent_where_the_standard_variables_say() -> None:
    both = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318",
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://t:1/own",
    }
    assert traces_url(both) == "http://t:1/own"
    assert traces_url({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318"}) == "http://c:4318/v1/traces"
    assert not is_wanted({})
    assert traces_url({**both, "OTEL_SDK_DISABLED": "true"}) == ""
