"""The file of rules, such as `deploy/guard.yaml`: what to look for, where, and what to do about it.

Rules are in order: where two of them find the same place of a text, the first one decides about it.
"""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from experts.catalog.yaml_file import YamlError, read_yaml
from router.model.suspicion import RATES
from serve.settings.tree import SettingsError
from serve.steps.guard.limits import FindLimits

EntityName = Literal["email", "phone", "card", "iban", "national_id", "ip"]


class Stage(StrEnum):
    """Where a rule looks."""

    INPUT = "input"  # messages, calls of earlier turns, a raw prompt
    DOCUMENTS = "documents"  # documents and tools' results: words of neither the user nor the operator
    OUTPUT = "output"  # the answer: its text and its calls' arguments


class Action(StrEnum):
    """What happens when a rule finds something."""

    BLOCK = "block"  # the request, or the rest of the answer, is refused
    MASK = "mask"  # a name such as <EMAIL_1> takes the place of what was found
    MONITOR = "monitor"  # it is counted


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class FindPersonalData(_Part):
    """Personal data, by shape, checksum and the words before it."""

    kind: Literal["personal_data"]
    entities: tuple[EntityName, ...] = Field(("email", "phone", "card", "iban", "national_id", "ip"), min_length=1)


class FindCredentials(_Part):
    """Keys, tokens, passwords, private keys."""

    kind: Literal["credentials"]


class FindControlTokens(_Part):
    """Tokens of chat templates and tool-call formats."""

    kind: Literal["control_tokens"]


class FindPhrases(_Part):
    """Words, and RE2 patterns; needs the extra `[guard]`."""

    kind: Literal["phrases"]
    words: tuple[Annotated[str, Field(min_length=2, max_length=256)], ...] = Field((), max_length=10_000)
    patterns: tuple[Annotated[str, Field(min_length=1, max_length=1024)], ...] = Field((), max_length=100)
    allow: tuple[str, ...] = ()  # exactly these are no finding
    longest: int = Field(64, ge=1, le=1024, strict=True)  # characters of a pattern's match; a stream holds so many back

    @model_validator(mode="after")
    def _lists_something(self) -> Self:
        if not self.words and not self.patterns:
            raise ValueError("list words or patterns")
        return self


class FindAllowed(_Part):
    """What is no finding of other rules, although it looks like one; patterns need the extra `[guard]`."""

    kind: Literal["allowed"]
    words: tuple[Annotated[str, Field(min_length=1, max_length=256)], ...] = Field((), max_length=10_000)
    patterns: tuple[Annotated[str, Field(min_length=1, max_length=1024)], ...] = Field((), max_length=100)
    domains: tuple[Annotated[str, Field(min_length=1, max_length=253)], ...] = Field((), max_length=1_000)
    rules: tuple[str, ...] = ()  # whose findings; empty = those of all that find places in a text

    @model_validator(mode="after")
    def _lists_something(self) -> Self:
        if not self.words and not self.patterns and not self.domains:
            raise ValueError("list words, patterns or domains")
        return self


class FindPromptLeak(_Part):
    """The system prompt, in the answer."""

    kind: Literal["prompt_leak"]
    words: int = Field(10, ge=4, le=100, strict=True)  # so many of its words in a row


def _is_measured(rate: float) -> float:
    if rate not in RATES:
        raise ValueError(f"one of {', '.join(f'{one:g}' for one in RATES)}")
    return rate


FalsePositives = Annotated[float, AfterValidator(_is_measured)]
"""Of benign texts, the share that a rule may take for attacks."""


class FindJailbreak(_Part):
    """A user who wants the assistant's rules gone: learned."""

    kind: Literal["jailbreak"]
    false_positives: FalsePositives = 0.002


class FindInjection(_Part):
    """Instructions that are not the reader's to give, and requests for what a system prompt withholds: learned."""

    kind: Literal["injection"]
    false_positives: FalsePositives = 0.003


class FindTopic(_Part):
    """Whatever is not about the subject of a few examples: learned from them."""

    kind: Literal["topic"]
    examples: tuple[Annotated[str, Field(min_length=1, max_length=2_000)], ...] = Field(min_length=4, max_length=500)
    false_refusals: float = Field(0.05, gt=0, le=0.5)  # of questions like the examples, refused at most


class FindService(_Part):
    """What another service finds, over HTTP: `llama_guard` and `nemo` judge a text, `presidio` gives places in it."""

    kind: Literal["service"]
    form: Literal["llama_guard", "nemo", "presidio", "json"]
    url: str = Field(pattern=r"^https?://[^\s/]+(/\S*)?$")  # whole, such as http://guard:8000/v1/chat/completions
    model: str = ""
    options: dict[str, str | int | float | bool | list[str] | dict[str, str]] = {}  # further fields of its request
    key_env: str = ""  # the environment's variable with its API key
    deadline_ms: float = Field(500.0, gt=0, le=60_000)
    window_chars: int = Field(512, ge=128, le=16_384, strict=True)  # of an answer, that it hears at a time
    circuit_failures: int = Field(5, ge=1, strict=True)  # in a row, after which it is left alone
    circuit_open_s: float = Field(5.0, gt=0)

    @model_validator(mode="after")
    def _names_a_model(self) -> Self:
        if self.form in ("llama_guard", "nemo") and not self.model:
            raise ValueError("name its model")
        return self


Learned = FindJailbreak | FindInjection | FindTopic

Find = Annotated[
    FindPersonalData
    | FindCredentials
    | FindControlTokens
    | FindPhrases
    | FindAllowed
    | FindLimits
    | FindPromptLeak
    | FindJailbreak
    | FindInjection
    | FindTopic
    | FindService,
    Field(discriminator="kind"),
]


class Rule(_Part):
    """One rule.

    `restore` puts what was masked in the request back into the answer, for the caller alone; the expert never sees it.
    """

    name: str = Field(pattern=r"^[a-z][a-z0-9_-]{0,63}$")  # a label of metrics
    find: Find
    at: tuple[Stage, ...] = Field(min_length=1)
    action: Action = Action.MONITOR
    fail: Literal["open", "closed"] = "closed"  # what a rule that cannot be carried out does to the request
    keys: tuple[str, ...] = ()  # names of API keys; empty = everybody
    experts: tuple[str, ...] = ()  # whose answers; empty = everybody's
    restore: bool = False

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        if self.experts and set(self.at) != {Stage.OUTPUT}:
            raise ValueError("a rule for some experts looks at the output alone: the input comes before routing")
        if self.restore and (self.action is not Action.MASK or Stage.INPUT not in self.at):
            raise ValueError("only what a rule masks in the input can be restored")
        if isinstance(self.find, FindPromptLeak) and set(self.at) != {Stage.OUTPUT}:
            raise ValueError("a prompt leaks in the output")
        if isinstance(self.find, FindAllowed) and self.action is not Action.MONITOR:
            raise ValueError("what is allowed is neither blocked nor masked: let this rule monitor")
        if isinstance(self.find, FindLimits) and (set(self.at) != {Stage.INPUT} or self.action is Action.MASK):
            raise ValueError("limits are of the input, documents included, and block or monitor")
        if isinstance(self.find, Learned):
            _check_learned(self.find, self)
        if isinstance(self.find, FindService):
            _check_service(self.find, self)
        return self


def _check_learned(find: Learned, rule: Rule) -> None:
    if rule.action is Action.MASK:
        raise ValueError("a rule that weighs a whole text has nothing to mask: let it block or monitor")
    may = {Stage.INPUT, Stage.DOCUMENTS} if isinstance(find, FindInjection) else {Stage.INPUT}
    if not set(rule.at) <= may:
        raise ValueError(f"a rule of the kind {find.kind} looks at {' and '.join(sorted(may))} alone")


def _check_service(find: FindService, rule: Rule) -> None:
    if rule.action is Action.MASK and find.form != "presidio":
        raise ValueError("only presidio tells what to mask; let this rule block or monitor")


class GuardFile(_Part):
    """The whole file."""

    rules: tuple[Rule, ...] = Field(max_length=200)
    hold_chars: int = Field(
        512, ge=64, le=65_536, strict=True
    )  # of an answer, held back at most while a finding may be incomplete
    hold_ms: float = Field(5_000.0, ge=10, le=600_000)  # likewise, of its age

    @model_validator(mode="after")
    def _names_are_unique(self) -> Self:
        names = [rule.name for rule in self.rules]
        if len(set(names)) < len(names):
            raise ValueError("a rule's name is there twice")
        for rule in self.rules:
            if isinstance(rule.find, FindAllowed) and (unknown := set(rule.find.rules) - set(names)):
                raise ValueError(f"the rule '{rule.name}' allows what no rule finds: {', '.join(sorted(unknown))}")
        return self


class GuardFileError(SettingsError):
    """The file cannot be used; the message has one line for each mistake."""


def read_rules(path: Path) -> GuardFile:
    """Read a file of rules.

    Raises:
        GuardFileError: it cannot be read, or a rule is wrong.
    """
    try:
        document = read_yaml(path)
        return GuardFile.model_validate(document.content or {})
    except YamlError as error:
        raise GuardFileError(str(error)) from None
    except ValidationError as error:
        raise GuardFileError("\n".join(document.complaint(mistake, GuardFile) for mistake in error.errors())) from None
