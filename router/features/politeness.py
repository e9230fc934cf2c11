"""Removes politeness around a request, in a dozen languages, before anything is read.

`window.split_window` calls `unwrap` on each user turn. "Hi there! ... Thanks in advance!" says nothing about what is
needed, and in a data set such a wrapper gives the label away. What is left must still be a request: a greeting alone
stays as it is.
"""

import re

HEAD_CHARS, TAIL_CHARS = 90, 60
LEAST_LEFT = 12  # characters; with less, the politeness was the message
ROUNDS = 3

_HELP = (
    r"(?:(?:can|could|would|will) (?:you|u) )?(?:please )?help(?: me)?(?: out)?"
    r"(?: with (?:this|the following|something))?"
)
_OPENING = re.compile(
    r"\s*(?:"
    r"(?:hi|hello|hey|hiya|good (?:morning|afternoon|evening)|dear (?:assistant|ai))"
    r"(?: there| all| everyone| team)?\s*[,!.:-]+"
    rf"|{_HELP}\s*[:?!.,-]+"
    r"|(?:quick|small|one|another|a quick|just a quick) (?:one|question|q|thing)\s*[.:,!-]+"
    r"|(?:so |ok |okay |well )?i (?:was|am|'m) (?:just )?wondering\s*[,:]"
    r"|(?:sorry to bother you|excuse me|if you don't mind|i have a question)\s*[,.:!-]+"
    r"|(?:please|pls|plz|kindly)\s*[,:]?(?=\s)"
    r"|(?:hola|buenas|buenos días|bonjour|salut|hallo|guten tag|ciao|olá|oi)\s*[,!.:]+"
    r"|(?:привет|здравствуйте|merhaba|hej|cześć)\s*[,!.:]+"
    r"|(?:por favor|s'il te plaît|s'il vous plaît|bitte|per favore|пожалуйста|lütfen)\s*[,:]"
    r"|你好[,，!！。]|您好[,，!！。]|请问[,，]?|こんにちは[、。!！]|안녕하세요[,.!]?"
    r")\s*",
    re.IGNORECASE,
)
_CLOSING = re.compile(
    r"(?:(?<=[\s.!?,。！？])|(?=[谢謝]))(?:"
    r"(?:many |a thousand )?(?:thanks|thank you|thank u|thx|tnx|ty|cheers)"
    r"(?: so much| very much| a lot| a bunch| in advance)?"
    r"|(?:please|pls|plz)|take your time|no rush|much appreciated|appreciate it"
    r"|(?:muchas )?gracias|merci(?: d'avance| beaucoup)?|(?:vielen )?danke?(?: schön| im voraus)?|grazie(?: mille)?"
    r"|(?:muito )?obrigad[oa]|спасибо(?: заранее)?|teşekkürler|dzięki|谢谢[你您]?|ありがとう(?:ございます)?|감사합니다"
    r")\s*[.!。！🙏😊]*\s*$",
    re.IGNORECASE,
)


def unwrap(text: str) -> str:
    """Take greetings and pleas off the front and thanks off the end, as long as a request is left."""
    for _ in range(ROUNDS):
        found = _OPENING.match(text[:HEAD_CHARS])
        if not found or len(text) - found.end() < LEAST_LEFT:
            break
        text = text[found.end() :]
    for _ in range(ROUNDS):
        start = max(0, len(text) - TAIL_CHARS)
        closing = _CLOSING.search(text[start:])
        if not closing or start + closing.start() < LEAST_LEFT:
            break
        text = text[: start + closing.start()].rstrip()
    return text
