"""Settings of the flywheel's own files."""

from pathlib import Path

from pydantic import ConfigDict

from serve.settings.base import Sane
from serve.settings.state_folder import state_folder


class FlywheelSettings(Sane):
    """Where curated sets and the registry of what serves are kept."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    folder: Path | None = None  # None = flywheel in the user's state folder

    @property
    def place(self) -> Path:
        """The folder."""
        return self.folder or state_folder() / "flywheel"
