"""Settings of the responses that `/v1/responses` keeps."""

from pathlib import Path

from pydantic import Field

from serve.settings.base import Section


class ResponsesSettings(Section):
    """What is kept of `/v1/responses`, prompts and answers, so that `previous_response_id` can go on from it."""

    store: bool = True  # false = nothing is kept: `previous_response_id` and `store: true` are refused
    path: Path | None = None  # None = responses.sqlite3 in the user's state folder
    keep_days: float = Field(30.0, gt=0, le=3650)
    max_per_key: int = Field(10_000, ge=1)  # beyond it a key's oldest go
