"""What holds for every test."""

import os
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

# The same examples each time: what a run finds is of the change that it judges. `MOEGATE_PROPERTIES=1000` draws others,
# so many of each.
# How long an example takes says more about the machine's other work than about the code: no deadline.
_ANEW = int(os.environ.get("MOEGATE_PROPERTIES", "0"))
settings.register_profile(
    "moegate",
    max_examples=_ANEW or 50,
    derandomize=not _ANEW,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("moegate")


@pytest.fixture(autouse=True, scope="session")
def state_of_its_own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What outlives a gateway (trials that ended, responses) is kept for this run alone: no run sees another's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        yield


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Keep a file's tests together, and all of `tests/integration` (`make test` has two processes).

    So the tests that start Ray share one moegate, and no two of them need the machine at once.
    """
    from xdist.scheduler import LoadScopeScheduling  # only there where tests are spread

    class ByFile(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.split("::", maxsplit=1)[0]
            return "integration" if file.startswith("tests/integration/") else file

    return ByFile(config, log)
