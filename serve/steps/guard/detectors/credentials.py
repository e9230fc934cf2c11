"""Keys, tokens and passwords: by the shape that their issuer gives them, or by a name before them and their entropy."""

import math
import re
from collections import Counter
from typing import Final

from serve.steps.guard.detectors.words import word_start
from serve.steps.guard.finding import Finding
from serve.steps.guard.plain_text import plain

# Each begins with what its issuer documents, so that one pass over the text looks for all of them.
_SHAPES: Final = (
    r"(?:AKIA|ASIA|ABIA|ACCA)[A-Z2-7]{16}",  # AWS access key id
    r"gh[pousr]_[A-Za-z0-9]{36,255}",  # GitHub
    r"github_pat_[A-Za-z0-9_]{22,255}",
    r"glpat-[A-Za-z0-9_-]{20,64}",  # GitLab
    r"xox[abeoprs]-[A-Za-z0-9-]{10,250}",  # Slack
    r"(?:sk|rk|pk)_(?:live|test)_[A-Za-z0-9]{10,250}",  # Stripe
    r"AIza[A-Za-z0-9_-]{35}",  # Google
    r"ya29\.[A-Za-z0-9_-]{20,512}",
    r"sk-(?:ant-|proj-|svcacct-)?[A-Za-z0-9_-]{20,250}",  # OpenAI, Anthropic
    r"hf_[A-Za-z0-9]{30,64}",  # Hugging Face
    r"npm_[A-Za-z0-9]{36}",
    r"pypi-[A-Za-z0-9_-]{40,512}",
    r"dop_v1_[a-f0-9]{64}",  # DigitalOcean
    r"SG\.[A-Za-z0-9_-]{16,32}\.[A-Za-z0-9_-]{16,64}",  # SendGrid
    r"mg-[A-Za-z0-9_-]{43}",  # moegate
    r"eyJ[A-Za-z0-9_-]{8,2048}\.eyJ[A-Za-z0-9_-]{8,4096}\.[A-Za-z0-9_-]{8,1024}",  # JSON Web Token, RFC 7519
)
_TOKEN: Final = re.compile(rf"(?<![A-Za-z0-9_-])(?:{'|'.join(_SHAPES)})(?![A-Za-z0-9_-])")
_BEGIN: Final = "-----BEGIN "
_PRIVATE_KEY: Final = re.compile(
    r"-----BEGIN (?:[A-Z]{2,12} ){0,2}PRIVATE KEY(?: BLOCK)?-----"
    r"(?:[A-Za-z0-9+/=\s\\:,-]{0,8192}?-----END (?:[A-Z]{2,12} ){0,2}PRIVATE KEY(?: BLOCK)?-----"
    r"|[A-Za-z0-9+/=\s\\]{0,8192})"
)
_ENDED: Final = re.compile(r"-----END [A-Z ]{3,40}-----")
# In their plain form, as all texts are.
_PASSWORDS: Final = tuple(plain(word) for word in ("contraseña", "senha", "пароль", "密码", "パスワード", "비밀번호"))
_NAMED: Final = re.compile(
    r"(?:api[_ -]?key|secret(?:[_ -]?(?:access[_ -]?)?key)?|access[_ -]?token|auth[_ -]?token|token"
    rf"|passwor[dt]|passwd|pwd|passe|{'|'.join(_PASSWORDS)})"
    r"[\"']?\s{0,3}(?:[:=]{1,2}>?|is|=>)\s{0,3}[\"']?([^\s\"'<>,;&]{8,256})",
    re.IGNORECASE,
)
_HINT: Final = re.compile(r"[\d_=:-]|eyJ|AIza|SG\.|A(?:KI|SI|BI|CC)A")
_NAMES: Final = ("key", "secret", "token", "pass", "pwd", *_PASSWORDS)
_LEAST_BITS: Final = 3.0  # a character, of a value that only its name makes a secret
_LONGEST: Final = 512


class Credentials:
    """Finds secrets that programs use."""

    hint = _HINT

    def find(self, text: str) -> list[Finding]:
        """Return what the text holds; a value that stands for one (`YOUR_API_KEY`, `$TOKEN`) is none."""
        if not _HINT.search(text):
            return []
        found = [Finding("SECRET", *match.span()) for match in _TOKEN.finditer(text)]
        if _BEGIN in text:
            found += [Finding("PRIVATE_KEY", *match.span()) for match in _PRIVATE_KEY.finditer(text)]
        low = text.lower()
        for name in _NAMES:  # no generator: every text that has a digit or a colon comes by here
            if name in low:
                named = _NAMED.finditer(text)
                found += [Finding("SECRET", *match.span(1)) for match in named if _is_random(match[1])]
                break
        return found

    def open_from(self, text: str) -> int:
        """The last word, or a private key that has begun."""
        ended = 0
        for end in _ENDED.finditer(text):
            ended = end.end()
        begun = text.find(_BEGIN, ended)
        if begun >= 0:
            return begun
        return max(word_start(text, len(text)), len(text) - _LONGEST)


def _is_random(value: str) -> bool:
    """Tell whether a value looks drawn by lot: letters and digits mixed, hardly a word."""
    if not any(letter.isdigit() for letter in value) or not any(letter.isalpha() for letter in value):
        return False
    counts = Counter(value)
    bits = -sum(count / len(value) * math.log2(count / len(value)) for count in counts.values())
    return bits >= min(_LEAST_BITS, math.log2(len(value)) * 0.85)
