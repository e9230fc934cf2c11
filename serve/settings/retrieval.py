"""Settings of retrieval: collections that requests may be answered from."""

from typing import Literal

from pydantic import Field

from serve.settings.base import Section


class RetrievalSettings(Section):
    """Whether requests may name collections, where these are, and what happens when they cannot be searched."""

    enabled: bool = False  # needs the encoder
    store: str | None = None  # a folder or s3://...; None = collections in the user's data folder
    top_k: int = Field(10, ge=1, le=64)  # passages of a request that does not say
    timeout_s: float = Field(2.0, gt=0)  # a search that takes longer has failed
    fail: Literal["open", "closed"] = "open"  # then: answer without passages, and say so; or fail the request
    neutralise: bool = True  # take sentences out of passages that command the model
