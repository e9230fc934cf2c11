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

_LISTED: Final = re.compile(r"(messages|documents|tools)\[(\d+)\]\.?(.*)")
_INDEX: Final = re.compile(r"\[\d+\]$")


@dataclass(frozen=True, slots=True)
class FieldNames:
    """What one request calls its fields.

    Attributes:
        places: for `messages`, `documents` and `tools`, where in the request each entry came from, such as `input[3]`.
            Of what is in a tool, the rest of the path is told, too: its form is the same, but for `words`.
        words: other names by the core's; an empty one leaves that part of a path out.
        inside: of what is in a message, the parts that a client has in the place it came from, and their names there.
    """

    places: Mapping[str, Sequence[str]] = field(default_factory=dict)
    words: Mapping[str, str] = field(default_factory=dict)
    inside: Mapping[str, str] = field(default_factory=dict)

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
            rest = self._words(listed[3]) if listed[1] == "tools" else self.inside.get(listed[3], "")
            return ".".join(filter(None, (places[int(listed[2])], rest)))
        return self._words(param)

    def _words(self, path: str) -> str:
        return ".".join(filter(None, map(self._word, path.split("."))))

    def _word(self, part: str) -> str:
        bare = _INDEX.sub("", part)
        return self.words.get(bare, bare) + part[len(bare) :]


SAME_NAMES: Final = FieldNames()
"""OpenAI's chat API: its names are the core's."""
