"""Tokens by which chat templates and tool-call formats mark turns. In a user's words they forge somebody else's.

The list is of the published templates of Llama 2 and 3, ChatML (SmolLM2, Qwen), Mistral, Gemma, Phi and DeepSeek.
"""

import re
from typing import Final

from serve.steps.guard.finding import Finding

_TOKEN: Final = re.compile(
    r"<[|｜][ \w▁]{1,40}[|｜]>"  # DeepSeek's bars are wide
    r"|\[/?(?:INST|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_CALLS|TOOL_RESULTS)\]|<</?SYS>>"
    r"|</?(?:s|bos|eos|start_of_turn|end_of_turn|tool_call|tool_response|tools|think)>",
    re.IGNORECASE,
)
_HINT: Final = re.compile(r"[<\[]")
_LONGEST: Final = 48


class ControlTokens:
    """Finds tokens of templates."""

    hint = _HINT

    def find(self, text: str) -> list[Finding]:
        """Return where the text holds one."""
        if _HINT.search(text) is None:
            return []
        return [Finding("CONTROL_TOKEN", *match.span()) for match in _TOKEN.finditer(text)]

    def open_from(self, text: str) -> int:
        """The last bracket that is still open."""
        least = max(0, len(text) - _LONGEST)
        last = max(text.rfind("<", least), text.rfind("[", least))
        if last < 0 or text.find(">" if text[last] == "<" else "]", last) >= 0:
            return len(text)
        return last - 1 if last > least and text[last - 1] == "<" else last
