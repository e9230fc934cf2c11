"""Settings of the selection of tools."""

from pydantic import Field

from experts.conversation.request_limits import MAX_OFFERED_TOOLS, MAX_TOOLS
from serve.settings.base import Section


class ToolSelectionSettings(Section):
    """Whether, and how, the few tools that a request may need are chosen among the many that it offers."""

    enabled: bool = False
    recall: float = Field(0.98, ge=0.5, le=0.99)  # how often all that a request needs are to be among the kept
    from_tools: int = Field(16, ge=1, le=MAX_TOOLS)  # a request with fewer keeps all of them
    max_tools: int = Field(MAX_OFFERED_TOOLS, ge=MAX_TOOLS, le=MAX_OFFERED_TOOLS)  # a request may offer
    max_kept: int = Field(MAX_TOOLS, ge=1, le=MAX_TOOLS)  # an expert is shown
    prepared_tools: int = Field(20_000, ge=MAX_OFFERED_TOOLS)  # of all sets together whose index is kept
    encoder: bool = True  # where there is one that the selector was fitted with, hear it, too
    encoder_timeout_s: float = Field(0.25, gt=0)  # of that, for a request; then the words decide

    @property
    def most_offered(self) -> int:
        """How many tools a request may offer."""
        return self.max_tools if self.enabled else MAX_TOOLS
