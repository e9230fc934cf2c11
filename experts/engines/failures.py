"""Reports what failed without its content: exceptions may hold prompts in their messages, so logs get no messages.

Used at the two edges where an unexpected exception ends: the deployment and the engine process.
"""

from __future__ import annotations

import traceback


def describe_failure(error: BaseException) -> str:
    """Name the exception's class and the places it passed, innermost first."""
    frames = reversed(traceback.extract_tb(error.__traceback__))
    return " < ".join([type(error).__name__, *(f"{frame.name}:{frame.lineno}" for frame in frames)])
