"""OpenAI's form of embeddings (https://platform.openai.com/docs/api-reference/embeddings/create)."""

import base64
from typing import Annotated, Any, Literal

import numpy as np
import orjson
from pydantic import BeforeValidator, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

from serve.doors.json_body import Body
from serve.doors.not_offered import UNSUPPORTED
from serve.embeddings.embedder import Embedded

_MOST_TEXTS = 2048


def _texts(value: object) -> object:
    """One text is a list of one; numbers are tokens of a tokenizer that is not ours."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, list) and any(isinstance(item, int | list) for item in value):
        raise PydanticCustomError(UNSUPPORTED, "tokens are not supported; send text")
    return value


_MANY = {"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": _MOST_TEXTS}


class EmbeddingsBody(Body):
    """POST /v1/embeddings."""

    input: Annotated[list[str], BeforeValidator(_texts), WithJsonSchema({"anyOf": [{"type": "string"}, _MANY]})] = (
        Field(max_length=_MOST_TEXTS)
    )
    model: str = Field(description="the encoder's name, or auto")
    dimensions: int | None = Field(None, ge=1, description="shorter vectors: the first so many numbers, of length 1")
    encoding_format: Literal["float", "base64"] | None = Field(
        None, description="float (the default), or base64 of little-endian float32"
    )
    user: str | None = None


def embeddings_body(answer: Embedded, encoding_format: str | None) -> bytes:
    """Write the answer."""
    is_base64 = encoding_format == "base64"
    data: list[dict[str, Any]] = [
        {"object": "embedding", "index": index, "embedding": _base64(row) if is_base64 else row}
        for index, row in enumerate(np.ascontiguousarray(answer.vectors))
    ]
    usage = {"prompt_tokens": answer.tokens, "total_tokens": answer.tokens}
    body = {"object": "list", "data": data, "model": answer.model, "usage": usage}
    return orjson.dumps(body, option=orjson.OPT_SERIALIZE_NUMPY)


def _base64(row: np.ndarray[Any, Any]) -> str:
    return base64.b64encode(row.astype("<f4", copy=False).tobytes()).decode()
