"""Logs: one JSON object a line, and nothing a client sent."""

import logging

import orjson

from serve.telemetry.logs import JsonLines, describe_fault

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
