"""Takes out of a passage what commands the model that reads it.

Whoever can write a document that is indexed could otherwise write to the expert: "ignore your instructions", a tool
call, a chat template's tokens (Greshake et al. 2023, https://arxiv.org/abs/2302.12173). A sentence that commands is
replaced by `[...]`; the rest of the passage stays, since an answer may stand beside it. Template tokens and tool calls
are replaced, too. Engines break template tokens of their own model besides (`experts.engines.control_tokens`).

This is no classifier: it knows some shapes, in English, and what it does not know gets through. What a passage says
decides nothing all the same: the router sees the documents' size alone, and an expert has no tools that the request
does not bring.
"""

import re
from collections import Counter
from typing import Final

REMOVED: Final = "[...]"

_WHOSE: Final = r"(?:your|the|all|any|these|those|my|our|every|previous|prior|above|earlier|preceding|system|other)"
_WHAT: Final = r"(?:instructions?|prompts?|rules?|guidelines?|directions?|commands?|context|orders|training|documents?)"
_COMMANDS: Final = re.compile(
    rf"""
    \b(?:ignore|disregard|forget|override|bypass|overlook|skip)\b\W+(?:(?:{_WHOSE}|everything|of|in|and|to)\W+){{1,5}}{_WHAT}\b
    | \bdo\s+not\s+(?:follow|obey|heed)\b\W+(?:(?:{_WHOSE}|of)\W+){{1,5}}{_WHAT}\b
    | \byou\s+are\s+now\s+(?:an?|the|in|acting|called|named|(?-i:[A-Z]\w+))\b
    | \bfrom\s+now\s+on\b,?\s+(?:you|only|always|never|answer|respond|reply)\b
    | \b(?:new|updated|real|actual)\s+(?:system\s+)?(?:instructions?|prompts?)\s*:
    | \b(?:reveal|print|repeat|show|output|leak)\b\W+(?:(?:me|us|your|the|entire|full|whole|hidden|secret)\W+){{1,4}}
      (?:system\s+prompt|instructions?|prompt)\b
    | \b(?:answer|respond|reply)\s+(?:only\s+)?(?:with|by\s+saying)\b\W+(?:only\W+)?["'“‘]
    | (?:^|(?<=[\n.!?]))\s*(?:system|assistant|user|developer)\s*:
    """,
    re.IGNORECASE | re.VERBOSE,
)
_TOKENS: Final = re.compile(
    r"<\|[^|<>\n]{1,40}\|>|<</?SYS>>|\[/?(?:INST|SYSTEM|TOOL_CALLS|AVAILABLE_TOOLS)\]|</?s>|<(?:start|end)_of_turn>"
)
_CALLS: Final = re.compile(
    r"<(tool_call|tool_response|tool|function_call)>.*?(?:</\1>|\Z)|</(?:tool_call|tool_response|tool|function_call)>",
    re.DOTALL,
)
_SENTENCES: Final = re.compile(r"[^.!?\n]*(?:[.!?]+[\"'”’)\]]*|\n|\Z)\s*")
_HINTS: Final = (
    "ignore", "disregard", "forget", "override", "bypass", "overlook", "skip", "follow", "obey", "heed", "now",
    "instruction", "prompt", "answer", "respond", "reply", "system:", "system :", "assistant", "user:", "user :",
    "developer",
)  # fmt: skip
"""One of these is in whatever commands, in small letters: looking for them costs a tenth of the pattern."""


def neutralised(text: str, found: Counter[str]) -> str:
    """Return a passage's text without what commands; `found` counts it by kind: `command`, `token` or `call`."""
    if "<" in text or "[" in text:
        for kind, pattern in (("call", _CALLS), ("token", _TOKENS)):
            text, count = pattern.subn(REMOVED, text)
            found[kind] += count
    small = text.lower()
    if not any(hint in small for hint in _HINTS) or not _COMMANDS.search(text):
        return text
    return "".join(_kept(match[0], found) for match in _SENTENCES.finditer(text))


def _kept(sentence: str, found: Counter[str]) -> str:
    if not _COMMANDS.search(sentence):
        return sentence
    found["command"] += 1
    return REMOVED + sentence[len(sentence.rstrip()) :]
