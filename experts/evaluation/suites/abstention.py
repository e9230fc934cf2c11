"""Does an answer say that it does not know? A closed list of phrases in several languages.

Used by the question suite. The rule keeps a hedge from hiding a false answer: one of the phrases is in the first
sentence, no contrasting word follows it there ("I don't know, but ..."), and the answer cites no document. The forms
that the researcher is taught (`experts.evaluation.suites.abstention_sentences`) count by what is before their colon;
the others are what models without an adapter say.
"""

from __future__ import annotations

import re

from experts.evaluation.suites.abstention_sentences import UNKNOWN
from experts.evaluation.suites.sentences import split_sentences

PHRASES = (
    # English
    r"(i|we) (do not|don't|did not|didn't) know",
    r"(i|we) (am|are|'m|'re) (not sure|unable to (answer|find|determine))",
    r"(i|we) (can ?not|can't|could not|couldn't) (answer|find|determine)",
    r"(the|these|those|any of the|provided|given) (documents?|passages?|texts?|context|sources?)( provided| given)? "
    r"(do|does|did) ?(not|n't) (say|mention|contain|hold|provide|state|specify|include|give|answer|have)",
    r"none of the (documents|passages|texts|sources)",
    r"(there is|there's) no (information|mention|answer)",
    r"(is|are|was|were) not (mentioned|stated|specified|provided|given|included|found) in the (document|passage|text)",
    r"not enough information",
    # German
    r"(ich|wir) (weiß|weiss|wissen) (es |das )?nicht",
    r"(die|den|diesen) (dokumente|dokumenten|texte|texten) (sagen|enthalten|nennen|geben) (dazu |darüber |das )?"
    r"(nichts|nicht|keine)",
    r"keine? (information|informationen|angabe|angaben|antwort) ",
    # Spanish
    r"no (lo |la )?(sé|se|sabemos)\b",
    r"(los|estos) (documentos|textos|pasajes) no (lo |la )?(dicen|mencionan|contienen|indican|especifican)",
    r"no (hay|existe) (información|ninguna|mención|respuesta)",
    r"no (puedo|se puede) (responder|encontrar|determinar)",
    # French, Italian, Portuguese
    r"je ne (le )?sais pas",
    r"les documents ne (le )?(disent|mentionnent|précisent) pas",
    r"non (lo )?so\b",
    r"i documenti non (lo )?(dicono|menzionano)",
    r"(eu )?não (o )?sei\b",
    r"os documentos não (o )?(dizem|mencionam)",
)
_CONTRAST = r"\b(but|however|though|although|aber|jedoch|doch|pero|sin embargo|mais|cependant|ma|mas|porém)\b"
_TAUGHT = tuple(re.escape(re.split("[:：]", sentence)[0].strip().lower()) for sentence in UNKNOWN.values())
_KNOWS_NOT = re.compile("|".join(rf"(?<!\w)(?:{phrase})" for phrase in (*_TAUGHT, *PHRASES)))
_ANSWERS_AFTER_ALL = re.compile(_CONTRAST)


def abstains(answer: str) -> bool:
    """Say whether the answer says that it does not know."""
    sentences = split_sentences(answer)
    if not sentences or any(sentence.cited for sentence in sentences):
        return False
    first = sentences[0].text.lower().replace("’", "'")
    found = _KNOWS_NOT.search(first)
    return found is not None and _ANSWERS_AFTER_ALL.search(first, found.end()) is None
