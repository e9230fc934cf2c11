"""The policy of `moegate flywheel run`: what each expert is judged by, and how far it may go without a human."""

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, ValidationError, model_validator

from experts.catalog.yaml_file import YamlError, read_yaml
from experts.flywheel.tune import TOKENS
from serve.settings.base import Section
from serve.settings.tree import SettingsError

Least = Literal["better", "not worse", "no headroom"]


class Bar(Section):
    """Rows that both answer: a suite of `experts.evaluate` and its data."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_-]*$")
    suite: str
    data: Path
    limit: int | None = Field(None, ge=1)  # of its rows


class Curating(Section):
    """What a set to learn from must have."""

    train: int = Field(200, ge=1)  # rows
    held_out: int = Field(100, ge=1)  # rows
    people: int = Field(5, ge=2)
    unrated: bool = False  # learn from answers that nobody has rated, too
    never: tuple[Path, ...] = ()  # files of rows that are never learned from; the bars' are not anyway


class Policy(Section):
    """One expert's."""

    canary: bool = False  # a candidate that has answered unseen well gets traffic without asking
    promote: Least | None = None  # what must have been found for it to serve without asking; None = ask
    goal: str = "traffic.like"  # BAR.MEASURE that is to be better; all others may not fall
    margin: float = Field(0.03, ge=0, le=1)  # what a measure may lose
    bars: tuple[Bar, ...] = ()  # beside the held-out slice of traffic, whose name is traffic
    curate: Curating = Curating()
    tokens: int | None = Field(TOKENS, ge=1)  # computed in training, the set's rows first; null = all that there are
    options: str = ""  # for experts.finetune
    from_base: bool = False  # train from the base, not from what serves
    evaluate: str = ""  # options for experts.evaluate, such as --batch 4

    @model_validator(mode="after")
    def _names_hold(self) -> Self:
        names = ["traffic", *(bar.name for bar in self.bars)]
        if len(set(names)) < len(names):
            raise ValueError("the bars' names must differ, and none is traffic")
        return self


class Policies(Section):
    """By expert; `default` holds for those that are not named."""

    default: Policy = Policy()
    experts: dict[str, Policy] = Field(default_factory=dict)

    def of(self, expert: str) -> Policy:
        """An expert's policy."""
        return self.experts.get(expert, self.default)


def load_policies(path: Path | None) -> Policies:
    """Read the file; without one a human is asked for everything that users notice.

    Raises:
        SettingsError: it cannot be used.
    """
    if path is None:
        return Policies()
    try:
        document = read_yaml(path)
        return Policies.model_validate(document.content or {})
    except YamlError as error:
        raise SettingsError(str(error)) from None
    except ValidationError as error:
        lines = [document.complaint(mistake, Policies) for mistake in error.errors(include_url=False)]
        raise SettingsError("\n".join(lines)) from None
