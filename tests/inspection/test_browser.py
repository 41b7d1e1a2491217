"""Pages and pictures in a browser: they step, link, print, fit a narrow screen, and can be read by everybody.

`SCREENSHOTS=folder pytest -m slow tests/inspection/test_browser.py` leaves a screenshot of each view in the folder.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from inspection.browser import chromium, needs_a_browser, screenshot

needs_a_browser()

from axe_playwright_python.sync_playwright import Axe  # noqa: E402
from inspection.examples_of_graphs import PAGES, page_of, single, twice  # noqa: E402

from tinygrad_nn.inspection.graphs import Graph  # noqa: E402

pytestmark = pytest.mark.slow
VIEWS = [("light", 1200), ("dark", 360)]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as found:
        yield found


def check_access(page: Any) -> None:
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()


def check_width(page: Any) -> None:
    """Assert that nothing leaves the screen at its side; formulas and the picture scroll by themselves."""
    wide = """() => [...document.querySelectorAll("body *")].filter(x => !x.closest("figure > *, math")
        && x.getBoundingClientRect().right > document.documentElement.clientWidth + 1).map(x => x.outerHTML)"""
    assert page.evaluate(wide) == []
    assert page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.parametrize("make", PAGES)
@pytest.mark.parametrize(("scheme", "width"), VIEWS)
def test_every_page_steps_to_its_end_and_breaks_no_rule(
    browser: Any, tmp_path: Path, make: Callable[[], Graph], scheme: str, width: int
) -> None:
    path = tmp_path / "page.html"
    text = page_of(make(), path)
    context = browser.new_context(color_scheme=scheme, viewport={"width": width, "height": 800})
    page, asked, said = context.new_page(), list[str](), list[str]()
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto(path.as_uri())
    for kind in ("step", "naive") if page.locator("#naive-order").is_enabled() else ("step",):
        page.locator("#naive-order").set_checked(kind == "naive")
        steps = text.count(f'<li id="{kind}-')
        for number in range(1, steps + 1):
            assert page.locator("#said").text_content() == f"step {number} of {steps}"
            assert page.locator("g.now").count() <= 1
            check_width(page)
            if number in (steps // 2, steps):
                assert page.locator("li:visible").count() == 1
                check_access(page)
                screenshot(page, f"{make.__name__}-{scheme}-{width}-{kind}-{number}", tmp_path)
            page.keyboard.press("ArrowRight")
        assert page.url.endswith(f"#{kind}-{steps}")
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []
    assert said == []
    context.close()


@pytest.mark.parametrize("make", PAGES)
def test_without_a_script_and_printed_a_page_is_a_list(browser: Any, tmp_path: Path, make: Callable[[], Graph]) -> None:
    path = tmp_path / "page.html"
    text = page_of(make(), path)
    context = browser.new_context(java_script_enabled=False)
    without, printed = context.new_page(), browser.new_page()
    printed.emulate_media(media="print")
    for page, kind in ((without, "without"), (printed, "printed")):
        page.goto(path.as_uri())
        assert page.locator("li:visible").count() == text.count("<li ")
        assert page.locator("nav").is_hidden()
        screenshot(page, f"{make.__name__}-{kind}", tmp_path)
    printed.close()
    context.close()
    path.write_text(re.sub("<script>.*</script>", "", text, flags=re.DOTALL), encoding="utf-8")
    for scheme, width in VIEWS:  # axe itself is a script, so it is run on the same page without its own
        page = browser.new_page(color_scheme=scheme, viewport={"width": width, "height": 800})
        page.goto(path.as_uri())
        check_width(page)
        check_access(page)
        page.close()


@pytest.mark.parametrize("make", PAGES)
def test_every_picture_can_be_read(browser: Any, tmp_path: Path, make: Callable[[], Graph]) -> None:
    too_wide = """() => [...document.querySelectorAll("text[text-anchor]")].filter(text => text.getBBox().width
        > text.parentNode.querySelector(":first-child").getBBox().width - 4).map(text => text.textContent)"""
    document = f'<!DOCTYPE html><html lang="en"><title>A graph</title><main><h1>A graph</h1>{make().to_svg()}</main>'
    for scheme in ("light", "dark"):
        page = browser.new_page(color_scheme=scheme)
        page.set_content(f"{document}<style>:root {{ color-scheme: light dark }}</style></html>")
        assert page.evaluate(too_wide) == []
        check_access(page)
        screenshot(page, f"{make.__name__}-{scheme}-picture", tmp_path)
        page.close()


def test_buttons_slider_fragments_and_the_naive_order(browser: Any, tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    page_of(twice(), path)
    page = browser.new_page()
    page.goto(f"{path.as_uri()}#step-3")
    assert page.locator("li:visible h3").text_content() == "3. backward: from c to b"
    assert page.locator("g.now text").first.text_content() == "c"
    assert page.locator("g.read text").first.text_content() == "b"
    page.click("#next")
    assert page.url.endswith("#step-4")
    assert page.locator("#next").is_disabled()
    page.click("#back")
    page.locator("#slider").fill("2")
    assert page.url.endswith("#step-2")
    page.locator("#slider").focus()
    page.keyboard.press("ArrowLeft")
    assert page.url.endswith("#step-1")
    page.go_back()
    assert page.locator("#said").text_content() == "step 2 of 4"
    page.check("#naive-order")
    page.locator("body").press("End")
    assert page.locator("li:visible h3").text_content() == "4. wrong: a"
    page.uncheck("#naive-order")
    assert page.url.endswith("#step-1")
    page.goto(f"{path.as_uri()}#step-999")
    assert page.locator("#said").text_content() == "step 4 of 4"
    page.goto(f"{path.as_uri()}#step-1")
    page.locator("#next").focus()
    for number in (2, 3):  # a new step leaves the focus where it is
        page.keyboard.press("Enter")
        assert page.locator("#said").text_content() == f"step {number} of 4"
    page.locator("#slider").focus()
    for number in (2, 1):
        page.keyboard.press("ArrowDown")
        assert page.locator("#said").text_content() == f"step {number} of 4"
    page_of(single(), path)
    page.goto(f"{path.as_uri()}#naive-1")
    page.reload()
    assert page.locator("#said").text_content() == "step 1 of 1"
    page.close()
