"""The core's names of fields, and what an API's clients call them.

`serve.validation.rules` and the dispatcher name a field at fault as OpenAI's chat API does. A wire form with other
names says here what its clients have written in that place, and the error tells them that.
"""

import copy
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from serve.errors import MoegateError

_LISTED: Final = re.compile(r"(messages|documents)\[(\d+)\].*")
_INDEX: Final = re.compile(r"\[\d+\]$")


@dataclass(frozen=True, slots=True)
class FieldNames:
    """What one request calls its fields.

    Attributes:
        places: for `messages` and `documents`, where in the request each entry came from, such as `input[3]`.
        words: other names by the core's; an empty one leaves that part of a path out.
    """

    places: Mapping[str, Sequence[str]] = field(default_factory=dict)
    words: Mapping[str, str] = field(default_factory=dict)

    def told(self, error: MoegateError) -> MoegateError:
        """Return the error with its field named as the client wrote it."""
        if error.param is None or (name := self._name(error.param)) == error.param:
            return error
        told = copy.copy(error)
        told.param = name
        told.message = error.message.replace(f"'{error.param}'", f"'{name}'")
        return told

    def _name(self, param: str) -> str:
        listed = _LISTED.fullmatch(param)
        if listed is not None and int(listed[2]) < len(places := self.places.get(listed[1], ())):
            return places[int(listed[2])]
        return ".".join(filter(None, map(self._word, param.split("."))))

    def _word(self, part: str) -> str:
        bare = _INDEX.sub("", part)
        return self.words.get(bare, bare) + part[len(bare) :]


SAME_NAMES: Final = FieldNames()
"""OpenAI's chat API: its names are the core's."""
