"""What holds for every test."""

import pytest
from hypothesis import HealthCheck, settings

# How long an example takes says more about the machine's other work than about the code.
settings.register_profile("moegate", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("moegate")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Give the tests that start Ray or take long to one process (`make test` has two): they never run side by side.

    So they share the one moegate of `tests/integration/conftest.py`, and no two of them need the machine at once.
    """
    if config.pluginmanager.hasplugin("xdist"):
        for item in items:
            if item.get_closest_marker("ray") or item.get_closest_marker("slow"):
                item.add_marker(pytest.mark.xdist_group("heavy"))
