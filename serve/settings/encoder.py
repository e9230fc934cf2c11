"""Settings of the encoder, which turns texts into vectors beside the experts."""

from pydantic import Field

from experts.catalog.encoders import DEFAULT_ENCODER
from experts.catalog.spec import Base
from serve.settings.base import Section


class EncoderSettings(Section):
    """Whether there is one, which, and how long it is waited for."""

    enabled: bool = False  # `moegate up` starts one, and the doors offer embeddings
    base: Base = DEFAULT_ENCODER  # its model: a wheel, hf:OWNER/NAME, or a folder
    timeout_s: float = Field(30.0, gt=0)  # of a request for embeddings that brings no deadline
    rank_documents: bool = True  # of a request that brings more than an expert shows: by meaning, too
    rank_timeout_s: float = Field(1.0, gt=0)  # of that; then the words decide
    max_texts: int = Field(2048, ge=1, le=2048)  # of one request
