"""The operators' console: one self-contained page, served at `GET /`. No outside addresses.

The page speaks to the gateway as any client does. Its script and style are inline and allowed by their hashes alone, so
that nothing else can run in it.
"""

import base64
import hashlib
import re
from pathlib import Path

from starlette.responses import Response

_PAGE = Path(__file__).with_name("index.html")


def console_page(*, has_collections: bool = False) -> Response:
    """Read the page and build its one answer; where there are collections, the page is told to ask for them."""
    page = _PAGE.read_bytes()
    if has_collections:
        page = page.replace(b"<body>", b"<body data-collections>", 1)
    scripts, styles = _hashes(page, b"script"), _hashes(page, b"style")
    policy = (
        "default-src 'none'; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; "
        f"frame-ancestors 'none'; script-src {scripts}; style-src {styles}; style-src-attr 'unsafe-inline'"
    )
    headers = {
        "content-security-policy": policy,
        "cache-control": "no-cache",
        "referrer-policy": "no-referrer",
        "x-content-type-options": "nosniff",
    }
    return Response(page, media_type="text/html", headers=headers)


def _hashes(page: bytes, tag: bytes) -> str:
    """The Content-Security-Policy sources of a page's inline elements (CSP Level 3, section 2.3.1)."""
    bodies = re.findall(rb"<%s>(.*?)</%s>" % (tag, tag), page, re.DOTALL)
    return " ".join(f"'sha256-{base64.b64encode(hashlib.sha256(body).digest()).decode()}'" for body in bodies)
