"""The Chromium that tests of pages run in, where there is one."""

import os
import shutil
from typing import Any

import pytest

BROWSER = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
needs_browser = pytest.mark.skipif(BROWSER is None, reason="no Chromium (Debian: chromium)")


async def until(page: Any, condition: str) -> None:
    """Wait until a condition holds on the page; Playwright's own way needs `eval`, which the page's policy forbids."""
    for _ in range(200):
        if await page.evaluate(condition):
            return
        await page.wait_for_timeout(100)
    raise AssertionError(condition)
