"""Debian's Chromium, through Playwright; without them the tests that need a browser are skipped, in one line."""

from __future__ import annotations

import importlib.util
import os
import pathlib
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest


def needs_a_browser() -> None:
    """Skip the file whose first statement this is, if there is no browser: all that skip so share one line."""
    packages = [importlib.util.find_spec(name) for name in ("playwright", "axe_playwright_python")]
    if None in packages or shutil.which("chromium") is None:
        what = "needs a browser: apt-get install chromium; python -m pip install playwright axe-playwright-python"
        pytest.skip(what, allow_module_level=True)


@contextmanager
def chromium() -> Iterator[Any]:
    """Yield a browser."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as p:
        browser = p.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        yield browser
        browser.close()


def screenshot(page: Any, name: str, otherwise: pathlib.Path) -> None:
    """Write what the page shows as name.png, into the folder that the environment's SCREENSHOTS names, to look at."""
    path = pathlib.Path(os.environ.get("SCREENSHOTS", otherwise)) / f"{name}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=path)
    assert path.read_bytes().startswith(b"\x89PNG")
