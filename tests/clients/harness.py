"""What each client's script is made of. It runs in the clients' own environment: the standard library alone.

A script names its client, registers one function a column of the table in docs/clients.md, and ends with
`CLIENT.main()`. `tests.clients.run` starts it with the gateway's address and reads the one line of JSON it prints.
"""

import asyncio
import inspect
import json
import sys
import traceback
from collections.abc import Callable
from importlib.metadata import version
from typing import Any, Final

COLUMNS: Final = (
    "chat",
    "stream",
    "tools",
    "empty tool result",
    "schema",
    "errors",
    "responses",
    "count",
)
"""What a client may be asked to do, in the table's order."""

KEY: Final = "mg-any"
"""An API key for clients that want one; the gateway under test asks for none."""

Check = Callable[[str], Any]
"""Does one thing with the gateway at an address such as `http://127.0.0.1:8000`; raises where it goes wrong."""


class Client:
    """One client, and what it is to do."""

    def __init__(self, name: str, package: str | None = None) -> None:
        """`name` is the table's; `package` is the distribution whose version it shows, where that is another."""
        self._name = name
        self._package = package or name
        self._checks: dict[str, Check] = {}

    def check(self, column: str) -> Callable[[Check], Check]:
        """Register a function, plain or async, for a column."""
        if column not in COLUMNS:
            raise ValueError(f"{column!r} is none of {COLUMNS}")

        def register(check: Check) -> Check:
            self._checks[column] = check
            return check

        return register

    def main(self) -> None:
        """Do everything, whatever of it fails; print the outcome: null where it went well, else why it did not."""
        url = sys.argv[1]
        results = {column: _outcome(check, url) for column, check in self._checks.items()}
        print(json.dumps({"client": self._name, "version": version(self._package), "results": results}))


def _outcome(check: Check, url: str) -> str | None:
    try:
        result = check(url)
        if inspect.iscoroutine(result):
            asyncio.run(result)
    except Exception as error:  # whatever a client does wrong is a result
        traceback.print_exc()
        return f"{type(error).__name__}: {error}"[:300]
    return None
