"""What an attempt that came to nothing says of the expert."""

import asyncio

import pytest

from serve.dispatch.attempt import FailedAttempt, Why, may_be_asleep
from serve.errors import ContextLengthExceeded, DeadlineExceeded, ExpertFailed, ExpertUnavailable, Overloaded


@pytest.mark.parametrize("error", [ExpertUnavailable("silent"), DeadlineExceeded("passed"), asyncio.CancelledError()])
def test_silence_may_be_sleep(error: BaseException) -> None:
    assert may_be_asleep(error)


@pytest.mark.parametrize("error", [Overloaded("full"), ContextLengthExceeded("long"), ExpertFailed("broke")])
def test_who_answers_is_awake_whatever_it_says(error: BaseException) -> None:
    assert not may_be_asleep(error)


@pytest.mark.parametrize("why", list(Why))
def test_the_error_is_what_the_client_would_see(why: Why) -> None:
    error = ExpertUnavailable("nobody", retry_after_s=7)
    failed = FailedAttempt(why, error)
    assert (failed.why, failed.error, str(failed)) == (why, error, why.value)
