"""The question that is searched for: a conversation's last one, made to stand alone.

"And in winter?" finds nothing. Where the last user turn is short or leans on a pronoun, the user turn before it is put
in front: its words tell what the question is about, and for BM25 and a mean of token vectors their order hardly
matters. English words only; in other languages only the length counts.
"""

import re
from typing import Final

from protos import chat_pb2 as chat

_SHORT: Final = 5  # words: a question of fewer rarely says what it is about
_LEANS: Final = re.compile(
    r"\b(?:it|its|they|them|their|this|that|these|those|he|him|his|she|her|hers|there|one|ones|such|same|else|other)\b",
    re.IGNORECASE,
)
_MOST: Final = 2_000  # characters: an encoder reads no more of a question


def standalone_question(conversation: chat.Conversation) -> str:
    """Return the words to search for; empty where no user has said any."""
    said = [message.content.strip() for message in conversation.messages if message.role == chat.ROLE_USER]
    said = [text for text in said if text]
    if not said:
        return ""
    question = said[-1]
    if len(said) > 1 and (len(question.split()) < _SHORT or _LEANS.search(question)):
        question = f"{said[-2]}\n{question}"
    return question[-_MOST:]
