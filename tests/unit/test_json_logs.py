"""A log line as JSON says of which request and endpoint it is, whatever the message has in it."""

from __future__ import annotations

import json
import logging
import sys

import pytest

from control_plane.adapters.tracing import is_wanted, traces_url
from control_plane.audit.logs import JsonLines, LogSettingsError, logging_config
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
