"""Is a request dressed up as a jailbreak? The sentences that try to lift an assistant's rules, found and set aside.

`window.split_window` leaves them out of the user's own words, so that a wrapper does not decide who answers what it
wraps; `features.is_suspected` tells `router.Router`, whose policy then never lowers the choice. A suspicion is no
verdict: nothing is refused here.
"""

import re
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
_RULES = r"(?:rules?|restrictions?|guidelines?|filter(?:s|ing)?|censorship|ethics|morals?|morality)"
_TOLD = r"(?:instructions?|directions|directives?|inputs?|programming|prompts?|training|policies)"
_ALL = (
    r"(?:all|any|every|everything|the|your|its|our|my|these|those|of|previous|prior|earlier|above|former|other|usual"
    r"|existing|initial|original|content|safety|openai'?s?|system)"
)
_STRONG: Final = re.compile(
    # Drop what you were told.
    rf"\b(?:ignor(?:e|es|ing)|disregard(?:s|ing)?|forget|bypass(?:es|ing)?|override|overlook|escape|violate)\s+"
    rf"(?:{_ALL}\s+)*(?:{_RULES}|{_TOLD})\b"
    r"|\b(?:ignore|disregard|forget)\s+(?:everything|all)\s+(?:from|you|that|above|before)\b"
    # An assistant that refuses nothing.
    r"|\bno\s+(?:warnings|disclaimers|refusals|filters?|censorship)\b|\b(?:unfiltered|uncensored|amoral)\b"
    r"|\bjailbr(?:eak|oken)\w*|\bnever\s+(?:refuses?|says?\s+no)\b"
    r"|\b(?:cannot|can't|must\s+(?:not|never)|may\s+not|do\s+not|don't|without)\s+refus(?:e|ing)\b"
    r"|\bdo\s+anything\s+now\b|\b(?:developer|god|dan|evil|debug(?:ging)?)\s+mode\b|(?-i:\bDAN\b)"
    # The same in other languages.
    r"|\b(?:ignora|olvida|omite)\b[^.\n]{0,40}(?:reglas|instrucciones|restricciones)"
    r"|\b(?:ignore|oublie)[sz]?\b[^.\n]{0,40}(?:règles|consignes)|\b(?:ignoriere|vergiss)\b[^.\n]{0,40}(?:regeln|anweisungen)"
    r"|\b(?:ignora|dimentica)\b[^.\n]{0,40}(?:regole|istruzioni)|\b(?:ignor[ea]|esqueça)\b[^.\n]{0,40}(?:regras|instruções)"
    r"|(?:игнорируй|забудь)[^.\n]{0,40}(?:правил|инструкци)|(?:kuralları|talimatları)[^.\n]{0,20}(?:unut|yok\s+say|görmezden)"
    r"|(?:تجاهل|انس)[^.\n]{0,40}(?:القواعد|التعليمات)|(?:忽略|无视|忘记)[^。\n]{0,16}(?:规则|限制|指令|指示)"
    r"|(?:ルール|指示|制限)[^。\n]{0,12}(?:無視|忘れ)|(?:규칙|지시)[^.\n]{0,12}(?:무시|잊)"
    r"|(?:नियमों?|निर्देशों?)[^।\n]{0,16}(?:अनदेखा|भूल)",
    re.IGNORECASE,
)
_WEAK: Final = re.compile(
    rf"\b(?:no|without|free\s+(?:of|from)|(?:not|never|no longer|isn't|aren't|doesn't|don't|won't)\s+(?:\w+\s+){{0,4}}"
    rf"(?:by|to|have|has|follow|obey))\s+(?:\w+\s+){{0,3}}{_RULES}\b"
    r"|\bunrestricted\b|\bbreak(?:s|ing)?\s+(?:\w+\s+){0,2}rules\b|\b(?:stay|remain)s?\s+in\s+character\b"
    r"|\bnever\s+breaks?\s+character\b|\bsin\s+(?:reglas|restricciones|filtros)\b|\bsans\s+(?:règles|restrictions|filtres?)\b"
    r"|\bohne\s+(?:regeln|einschränkungen|filter)\b|\bsenza\s+(?:regole|restrizioni|filtri)\b"
    r"|\bsem\s+(?:regras|restrições|filtros)\b|без\s+(?:правил|ограничений|цензуры)|kuralsız|没有任何(?:规则|限制)",
    re.IGNORECASE,
)  # also said of games, diets and statutes: counts where an assistant is spoken to
_SPOKEN_TO: Final = re.compile(
    r"\b(?:an?\s+(?:\w+\s+)?(?:ai|bot|chatbot|llm|language\s+model|assistant)|chatgpt|gpt|from\s+now\s+on|you\s+are\s+now"
    r"|eres\s+una?|tu\s+es\s+une?|du\s+bist|sei\s+un|você\s+é)\b|ты\s|теперь|sen\s|你是|你现在",
    re.IGNORECASE,
)
_SENTENCE = re.compile(r"[^.!?\n。！？।]+[.!?\n。！？।]*\s*")


def is_sign(text: str) -> bool:
    """Say whether a text tries to lift the assistant's rules; of a long one the ends are looked at."""
    half = LOOKED_AT // 2
    text = text if len(text) <= LOOKED_AT else f"{text[:half]}\n{text[-half:]}"
    low = text.lower()
    anchors = _ANCHORS if text.isascii() else (*_ANCHORS, *_WIDE_ANCHORS)
    if not any(anchor in low for anchor in anchors) and "DAN" not in text:
        return False
    return bool(_STRONG.search(text) or (_WEAK.search(text) and _SPOKEN_TO.search(text)))


def undress(text: str) -> str:
    """Leave out the sentences that try to lift rules, as long as a request is left."""
    if len(text) > LOOKED_AT or not is_sign(text):
        return text
    kept = "".join(part for part in _SENTENCE.findall(text) if not (_STRONG.search(part) or _WEAK.search(part)))
    return kept.strip() if len(kept.strip()) >= LEAST_LEFT else text
