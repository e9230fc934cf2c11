"""The sets in force. `serve.live` takes up a changed file; where it is wrong, the last good sets stay."""

from collections.abc import Mapping
from pathlib import Path

from protos import chat_pb2 as chat
from serve.steps.toolsets.file import read_toolsets


class Toolsets:
    """A file of tool sets, and those that were last taken up out of it.

    Attributes:
        path: the file.
        current: the tools of each set, by its name; a request goes by one state of it.
    """

    def __init__(self, path: Path) -> None:
        """Read the file.

        Raises:
            ToolsetsFileError: it cannot be used.
        """
        self.path = path
        self.current = self.read()

    def read(self) -> Mapping[str, tuple[chat.Tool, ...]]:
        """Read the file anew.

        Raises:
            ToolsetsFileError: it cannot be used.
        """
        return read_toolsets(self.path)

    def take_up(self, found: Mapping[str, tuple[chat.Tool, ...]]) -> None:
        """Go by these sets from the next request on."""
        self.current = found
