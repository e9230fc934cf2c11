"""Vectors of texts from any server with OpenAI's `POST /v1/embeddings`, such as a gateway whose encoder is enabled."""

import base64
import json
import re
import urllib.error
import urllib.request
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from router.errors import EncoderError
from router.tools.index import Floats

_BATCH: Final = 128  # texts of one request
_TIMEOUT_S: Final = 120.0
_INPUT: Final = re.compile(r"input\[(\d+)\]")
_TOO_LONG: Final = "context_length_exceeded"


class Embeddings:
    """Encodes each text once.

    Attributes:
        model: what the server calls its encoder; empty before the first answer.
    """

    def __init__(self, url: str) -> None:
        """`url` is the server's, with or without `/v1`."""
        self.model = ""
        self._url = f"{url.rstrip('/').removesuffix('/v1')}/v1/embeddings"
        self._known: dict[str, Floats] = {}

    def __call__(self, texts: Sequence[str]) -> Floats:
        """Encode texts, (n, D), rows of length 1. The end of one that is too long is left unread.

        Raises:
            EncoderError: the server refuses, cannot be reached, or answers in another form.
        """
        new = [text for text in dict.fromkeys(texts) if text not in self._known]
        for at in range(0, len(new), _BATCH):
            batch = new[at : at + _BATCH]
            self._known.update(zip(batch, self._vectors(batch), strict=True))
        return np.stack([self._known[text] for text in texts])

    def _vectors(self, texts: Sequence[str]) -> list[Floats]:
        read = list(texts)
        while True:
            try:
                answer = self._post({"model": "auto", "input": read, "encoding_format": "base64"})
                break
            except urllib.error.HTTPError as error:
                read = _shortened(read, error)
        try:
            self.model = str(answer["model"])
            found = np.stack([np.frombuffer(base64.b64decode(one["embedding"]), "<f4") for one in answer["data"]])
        except (KeyError, TypeError, ValueError) as error:
            raise EncoderError(f"the encoder answers in another form ({type(error).__name__})") from None
        return list(found / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), np.float32(1e-12)))

    def _post(self, body: dict[str, Any]) -> Any:  # noqa: ANN401  # whatever JSON holds
        data = json.dumps(body).encode()
        request = urllib.request.Request(self._url, data, {"content-type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as answer:
                return json.load(answer)
        except urllib.error.HTTPError:
            raise
        except (OSError, ValueError) as error:
            raise EncoderError(f"the encoder cannot be reached ({type(error).__name__})") from None


def _shortened(texts: list[str], error: urllib.error.HTTPError) -> list[str]:
    """Halve the text that a refusal names as too long.

    Raises:
        EncoderError: the refusal has another reason.
    """
    try:
        refusal = json.load(error)["error"]
        place = _INPUT.search(str(refusal["param"]))
    except (KeyError, TypeError, ValueError):
        refusal, place = {}, None
    if refusal.get("code") != _TOO_LONG or place is None:
        raise EncoderError(f"the encoder refuses the texts (HTTP {error.code})") from None
    number = int(place[1])
    return [text[: len(text) // 2] if at == number else text for at, text in enumerate(texts)]
