"""Logs: one JSON object a line, and nothing a client sent."""

import logging

import orjson
import pytest

from serve.telemetry.logs import JsonLines, describe_fault, tell

SECRET = "the prompt"


def fail() -> None:
    raise ValueError(SECRET)


def test_a_fault_is_named_without_its_text() -> None:
    try:
        fail()
    except ValueError as error:
        fault = describe_fault(error)
        record = logging.getLogger("t").makeRecord("t", logging.ERROR, "f", 1, "broke", (), (None, error, None))
    assert fault["fault"] == "ValueError"
    assert fault["place"].startswith("test_logs.py:fail:")
    line = JsonLines().format(record)
    assert SECRET not in line
    assert orjson.loads(line)["fault"] == "ValueError"


def test_one_line_with_its_fields() -> None:
    record = logging.makeLogRecord({"name": "moegate", "msg": "two\nlines", "levelno": 20, "levelname": "INFO", "n": 3})
    line = JsonLines().format(record)
    assert "\n" not in line
    assert orjson.loads(line) == orjson.loads(line) | {"event": "two\nlines", "level": "info", "n": 3}


def test_a_line_of_many_fields_is_that_of_extra(caplog: pytest.LogCaptureFixture) -> None:
    log, fields = logging.getLogger("moegate.many"), {"request_id": "one", "n": 3, "door": None}
    with caplog.at_level(logging.INFO):
        tell(log, "request", fields)
        log.info("request", extra=fields)
    quick, slow = (orjson.loads(JsonLines().format(record)) for record in caplog.records)
    for line in (quick, slow):
        line.pop("_ray_timestamp_ns", None)  # what Ray adds to every record once a test has imported it
    assert quick | {"time": None} == slow | {"time": None}
    assert list(quick)[-3:] == list(fields)


def test_a_level_that_is_not_shown_costs_no_record(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        tell(logging.getLogger("moegate.many"), "request", {})
    assert not caplog.records
