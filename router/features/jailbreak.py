"""Finds the sentences by which a jailbreak tries to remove an assistant's rules.

`window.split_window` leaves them out of the user's own words, so that the wrapper does not decide who answers.
`features.is_suspected` tells `router.Router`, whose policy then never lowers the choice. Nothing is refused here: a
suspicion is no verdict.
"""

import re
from functools import lru_cache
from typing import Final

LOOKED_AT: Final = 6_000  # characters of a turn; with more, the first and the last half of them
LEAST_LEFT: Final = 12  # characters; with less, the wrapper was the message


def _phrases(text: str) -> tuple[str, ...]:
    """Read phrases parted by bars."""
    return tuple(text.split("|"))


# One of these in the text, or nothing else is looked for: plain substring tests cost microseconds.
_ANCHORS: Final = _phrases(
    "ignor|disregard|forget|bypass|overrid|overlook|escape|violat|rule|restrict|restric|guideline|censor|filter|filtr"
    "|ethic|moral|jailbr|refus|say no|says no|anything now|in character|break character|breaks character|r mode|d mode"
    "|l mode|n mode|g mode|no warnings|no disclaimers|olvida|omite|oublie|vergiss|dimentica|reglas|regeln|einschr"
    "|regole|restriz|regras"
)
_WIDE_ANCHORS: Final = _phrases(
    "règles|instruções|restrições|правил|инструкци|ограничени|цензур|kural|القواعد|التعليمات|规则|限制|指令|指示"
    "|ルール|制限|규칙|지시|नियम|निर्देश"
)  # looked for in text beyond ASCII alone
_ALL_ANCHORS: Final = (*_ANCHORS, *_WIDE_ANCHORS)
_RULES = r"(?:rules?|restrictions?|guidelines?|filter(?:s|ing)?|censorship|ethics|morals?|morality)"
_TOLD = r"(?:instructions?|directions|directives?|inputs?|programming|prompts?|training|policies)"
_ALL = (
    r"(?:all|any|every|everything|the|your|its|our|my|these|those|of|previous|prior|earlier|above|former|other|usual"
    r"|existing|initial|original|content|safety|openai'?s?|system)"
)
# Searched for in lower-case text: a pattern that ignores case tries everything at every letter: 4 ms a long turn.
_STRONG: Final = re.compile(
    r"\b(?:"
    # Drop what you were told.
    rf"(?:ignor(?:e|es|ing)|disregard(?:s|ing)?|forget|bypass(?:es|ing)?|override|overlook|escape|violate)\s+"
    rf"(?:{_ALL}\s+)*(?:{_RULES}|{_TOLD})\b"
    r"|(?:ignore|disregard|forget)\s+(?:everything|all)\s+(?:from|you|that|above|before)\b"
    # An assistant that refuses nothing.
    r"|no\s+(?:warnings|disclaimers|refusals|filters?|censorship)\b|(?:unfiltered|uncensored|amoral)\b"
    r"|jailbr(?:eak|oken)\w*|never\s+(?:refuses?|says?\s+no)\b"
    r"|(?:cannot|can't|must\s+(?:not|never)|may\s+not|do\s+not|don't|without)\s+refus(?:e|ing)\b"
    r"|do\s+anything\s+now\b|(?:developer|god|dan|evil|debug(?:ging)?)\s+mode\b"
    # The same in other languages.
    r"|(?:ignora|olvida|omite)\b[^.\n]{0,40}(?:reglas|instrucciones|restricciones)"
    r"|(?:ignore|oublie)[sz]?\b[^.\n]{0,40}(?:règles|consignes)|(?:ignoriere|vergiss)\b[^.\n]{0,40}(?:regeln|anweisungen)"
    r"|(?:ignora|dimentica)\b[^.\n]{0,40}(?:regole|istruzioni)|(?:ignor[ea]|esqueça)\b[^.\n]{0,40}(?:regras|instruções)"
    r")"
    r"|(?:игнорируй|забудь)[^.\n]{0,40}(?:правил|инструкци)|(?:kuralları|talimatları)[^.\n]{0,20}(?:unut|yok\s+say|görmezden)"
    r"|(?:تجاهل|انس)[^.\n]{0,40}(?:القواعد|التعليمات)|(?:忽略|无视|忘记)[^。\n]{0,16}(?:规则|限制|指令|指示)"
    r"|(?:ルール|指示|制限)[^。\n]{0,12}(?:無視|忘れ)|(?:규칙|지시)[^.\n]{0,12}(?:무시|잊)"
    r"|(?:नियमों?|निर्देशों?)[^।\n]{0,16}(?:अनदेखा|भूल)",
)
_DAN: Final = re.compile(r"\bDAN\b")  # the name, not the given name
_WEAK: Final = re.compile(
    r"\b(?:"
    r"(?:no|without|free\s+(?:of|from)|(?:not|never|no longer|isn't|aren't|doesn't|don't|won't)\s+(?:\w+\s+){0,4}"
    rf"(?:by|to|have|has|follow|obey))\s+(?:\w+\s+){{0,3}}{_RULES}\b"
    r"|unrestricted\b|break(?:s|ing)?\s+(?:\w+\s+){0,2}rules\b|(?:stay|remain)s?\s+in\s+character\b"
    r"|never\s+breaks?\s+character\b|sin\s+(?:reglas|restricciones|filtros)\b|sans\s+(?:règles|restrictions|filtres?)\b"
    r"|ohne\s+(?:regeln|einschränkungen|filter)\b|senza\s+(?:regole|restrizioni|filtri)\b"
    r"|sem\s+(?:regras|restrições|filtros)\b"
    r")|без\s+(?:правил|ограничений|цензуры)|kuralsız|没有任何(?:规则|限制)",
)  # also said of games, diets and statutes: counts where an assistant is spoken to
_SPOKEN_TO: Final = re.compile(
    r"\b(?:an?\s+(?:\w+\s+)?(?:ai|bot|chatbot|llm|language\s+model|assistant)|chatgpt|gpt|from\s+now\s+on|you\s+are\s+now"
    r"|eres\s+una?|tu\s+es\s+une?|du\s+bist|sei\s+un|você\s+é)\b|ты\s|теперь|sen\s|你是|你现在",
)
_SENTENCE = re.compile(r"[^.!?\n。！？।]+[.!?\n。！？।]*\s*")


def is_sign(text: str) -> bool:
    """Say whether a text tries to lift the assistant's rules; of a long one the ends are looked at."""
    half = LOOKED_AT // 2
    return _is_sign(text if len(text) <= LOOKED_AT else f"{text[:half]}\n{text[-half:]}")


@lru_cache(maxsize=16)  # one decision asks twice: to read the words, and to judge them
def _is_sign(text: str) -> bool:
    """Say the same of a text that is short enough."""
    low = text.lower()
    if not _is_anchored(low) and "DAN" not in text:
        return False
    return _is_strong(text, low) or bool(_WEAK.search(low) and _SPOKEN_TO.search(low))


def _is_anchored(low: str) -> bool:
    """Say whether a lower-case text holds an anchor: a plain loop, because every request pays for it twice."""
    for anchor in _ANCHORS if low.isascii() else _ALL_ANCHORS:  # noqa: SIM110 - `any` takes three times as long
        if anchor in low:
            return True
    return False


def _is_strong(text: str, low: str) -> bool:
    """Say whether a text, given as written and in lower case, lifts rules in so many words."""
    return bool(_STRONG.search(low) or _DAN.search(text))


def undress(text: str) -> str:
    """Leave out the sentences that try to lift rules, as long as a request is left."""
    if len(text) > LOOKED_AT or not is_sign(text):
        return text
    parts = ((part, part.lower()) for part in _SENTENCE.findall(text))
    kept = "".join(part for part, low in parts if not (_is_strong(part, low) or _WEAK.search(low)))
    return kept.strip() if len(kept.strip()) >= LEAST_LEFT else text
