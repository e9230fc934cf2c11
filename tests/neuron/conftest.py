"""Contract tests: they need optimum-neuron 0.4.5, whose pins exclude the rest; see `make test-neuron`."""

import importlib.util

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if importlib.util.find_spec("optimum") is not None and importlib.util.find_spec("optimum.neuron") is not None:
        return
    for item in items:
        if "tests/neuron/" in item.path.as_posix():
            item.add_marker(pytest.mark.skip(reason="optimum-neuron is not installed: make test-neuron"))
