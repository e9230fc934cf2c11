"""Takes personal data and credentials out of a record before it is written anywhere.

The guard's own detectors find them (`serve.steps.guard.detectors`: shape, checksum and context). The same thing has
the same name throughout a record, so that an answer still refers to what the request said.
"""

import re
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from typing import Final, Literal

import orjson

from serve.settings.interactions import Entity
from serve.steps.guard.compiled import RuleSet
from serve.steps.guard.inspector import disjoint
from serve.steps.guard.masks import Masks
from serve.steps.guard.plain_text import plain
from serve.steps.guard.rules import Action, Find, FindCredentials, FindPersonalData, GuardFile, Rule, Stage

_BARE_NAME: Final = re.compile(r"(?<=[:\[,\s])<[A-Z_]+_\d+>(?=[,\]}\s])")

_Name = Literal["personal", "secrets"]


class Redactor:
    """Knows what is to be found."""

    def __init__(self, entities: Sequence[Entity]) -> None:
        personal = tuple(entity for entity in entities if entity != "credentials")
        finds: dict[_Name, Find] = {}
        if "credentials" in entities:
            finds["secrets"] = FindCredentials(kind="credentials")
        if personal:
            finds["personal"] = FindPersonalData(kind="personal_data", entities=personal)
        self.rules = [Rule(name=name, find=find, at=(Stage.INPUT,), action=Action.MASK) for name, find in finds.items()]
        self.inspector = RuleSet(GuardFile(rules=tuple(self.rules))).at(Stage.INPUT)


class Redaction:
    """One record's.

    Attributes:
        found: how often each thing was masked, by its name.
    """

    def __init__(self, redactor: Redactor) -> None:
        self._rules = redactor.rules
        self._inspector = redactor.inspector
        self._hint = None if redactor.inspector is None else redactor.inspector.hint
        self._masks: Masks | None = None
        self.found: Counter[str] = Counter()

    def text(self, text: str) -> str:
        """Return somebody's words, masked.

        Raises:
            BrokenRule: a detector failed; the record is not fit to be kept.
        """
        if self._inspector is None or (self._hint is not None and not self._hint.search(plain(text))):
            return text
        hits = self._inspector.hits(text)
        if not hits:
            return text
        self._masks = self._masks or Masks()
        joined = disjoint(hits, self._rules)
        self.found.update(hit.entity for hit in joined)
        return self._masks.mask(text, joined)

    def json(self, text: str) -> str:
        """Return JSON, masked and JSON still: what is escaped is read first, and a masked number is quoted.

        Raises:
            BrokenRule: likewise.
        """
        if "\\" in text:
            with suppress(orjson.JSONDecodeError):  # a model may write what is none; it is looked at as it is
                text = orjson.dumps(orjson.loads(text)).decode()
        masked = self.text(text)
        return text if masked == text else _BARE_NAME.sub(lambda match: f'"{match[0]}"', masked)
