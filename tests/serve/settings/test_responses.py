"""Settings of the responses that are kept."""

from typing import Any

import pytest
from pydantic import ValidationError

from serve.settings.responses import ResponsesSettings


def test_responses_are_kept_for_thirty_days_unless_somebody_says_otherwise() -> None:
    settings = ResponsesSettings()
    assert (settings.store, settings.path, settings.keep_days) == (True, None, 30)


@pytest.mark.parametrize(
    "fields", [{"keep_days": 0}, {"keep_days": True}, {"max_per_key": 0}, {"max_rows": 1}, {"keep_days": 1e9}]
)
def test_what_nobody_can_mean_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        ResponsesSettings(**fields)
