"""Settings of the flywheel's own files, and of how far a candidate goes at once."""

from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from experts.flywheel.stages import STAGES, Stage
from serve.settings.base import Section
from serve.settings.state_folder import state_folder


class StageSettings(Section):
    """One stage of a canary."""

    share: float = Field(gt=0, le=0.5)  # of the expert's conversations
    answers: int = Field(ge=1)  # that have to be seen at it


class FlywheelSettings(Section):
    """Where curated sets and the registry of what serves are kept, and the stages of a trial."""

    folder: Path | None = None  # None = flywheel in the user's state folder
    # Of what serves and who is on trial, for several machines: a URL that fsspec knows, such as s3://bucket/registry,
    # whose store writes on condition; None = in the folder. What is there is mirrored into the folder.
    registry: str | None = Field(None, pattern=r"^[a-z0-9+]+://.+")
    stages: tuple[StageSettings, ...] = Field(
        tuple(StageSettings(share=stage.share, answers=stage.answers) for stage in STAGES), min_length=1
    )
    shadow_share: float = Field(0.1, gt=0, le=1)  # of the expert's answers, that a candidate gives once more, unseen
    shadow_answers: int = Field(50, ge=1)  # that have to be compared before it gets any traffic
    shadows_at_once: int = Field(2, ge=1)  # of a gateway; beyond them and a few that wait, they are shed

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        shares = [stage.share for stage in self.stages]
        if shares != sorted(set(shares)):
            raise ValueError("the stages' shares must grow")
        return self

    @property
    def place(self) -> Path:
        """The folder."""
        return self.folder or state_folder() / "flywheel"

    @property
    def table(self) -> tuple[Stage, ...]:
        """The stages, as the flywheel reads them."""
        return tuple(Stage(stage.share, stage.answers) for stage in self.stages)
