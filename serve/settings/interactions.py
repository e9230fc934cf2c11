"""Settings of the interactions that the flywheel learns from."""

from typing import Literal

from pydantic import Field

from serve.settings.base import Section

Entity = Literal["email", "phone", "card", "iban", "national_id", "ip", "credentials"]


class InteractionsSettings(Section):
    """Whose requests and answers are kept, and where; nobody's by default."""

    keys: tuple[str, ...] = ()  # names of API keys that have agreed; "*" = every caller; none = nothing is kept
    experts: tuple[str, ...] = ()  # whose answers; none = every expert's
    sample: float = Field(1.0, gt=0, le=1)  # share of their requests
    target: str | None = None  # a folder, or a URL that fsspec knows (s3://bucket/path); None = in the state folder
    redact: tuple[Entity, ...] = ("email", "phone", "card", "iban", "national_id", "ip", "credentials")
    flush_s: float = Field(1.0, gt=0)  # so often a folder is written to
    segment_bytes: int = Field(16 * 2**20, ge=2**16)  # of a segment, compressed; then the next one begins
    segment_s: float = Field(300.0, gt=0)  # likewise by age; an object store gets nothing of a segment before
    max_bytes: int = Field(4 * 2**30, ge=2**20)  # of all segments; beyond it the oldest go
    max_waiting_bytes: int = Field(64 * 2**20, ge=2**16)  # that wait to be written; beyond it records are lost

    @property
    def is_on(self) -> bool:
        """Whether anything is kept."""
        return bool(self.keys)
