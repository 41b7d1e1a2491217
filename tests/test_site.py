"""The built site in a browser: narrow and wide, light and dark, without a violation and without the network."""

from __future__ import annotations

import pathlib
from collections.abc import Iterator
from typing import Any

import pytest
from inspection.browser import chromium, needs_a_browser

needs_a_browser()

SITE = pathlib.Path(__file__).parents[1] / "docs" / "_build"
PAGES = {
    "index.html": "Neural networks and reverse-mode",
    "guides.html": "Coming from another library",
    "from_pytorch.html": "Making tensors",
    "generated/lessons/index.html": "1 A derivative",
    "generated/lessons/01_a_derivative.html": "Questions",
    "generated/reference/index.html": "Every public name has a page",
    "generated/reference/operations.html": "Operations on corresponding entries",
    "generated/reference/log.html": "What is refused",
    "generated/reference/class-Tensor.html": "What a Tensor has, by task",
    "generated/reference/operation_table.html": "rules as written",
    "search.html?q=softmax": "tg.softmax",
}
VIEWS = {(width, theme): {"width": width, "height": 900} for width in (1280, 390) for theme in ("light", "dark")}

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    if not (SITE / "index.html").exists():
        pytest.skip("needs the site: python -m sphinx -q -W docs docs/_build")
    with chromium() as opened:
        yield opened


@pytest.mark.parametrize("page", PAGES)
def test_a_page_is_readable_for_all_and_asks_the_network_for_nothing(browser: Any, page: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    for (width, theme), view in VIEWS.items():
        context = browser.new_context(viewport=view)
        context.add_init_script(f"localStorage.setItem('mode', '{theme}'); localStorage.setItem('theme', '{theme}')")
        opened = context.new_page()
        asked: list[str] = []
        opened.on("request", lambda request, asked=asked: asked.append(request.url))
        opened.goto(f"{SITE.as_uri()}/{page}")
        opened.get_by_text(PAGES[page]).first.wait_for(state="attached")
        assert [url for url in asked if not url.startswith(("file:", "data:"))] == []
        assert opened.evaluate("document.documentElement.dataset.theme") == theme
        assert opened.evaluate("document.documentElement.scrollWidth") <= width  # what is wider is moved by itself
        found = axe.run(opened).response["violations"]
        assert [(one["id"], node["html"][:200]) for one in found for node in one["nodes"]] == []
        context.close()


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("page", ["from_pytorch", "from_keras", "from_jax"])
def test_both_columns_of_a_table_are_seen(browser: Any, page: str, width: int) -> None:
    opened = browser.new_page(viewport={"width": width, "height": 900})
    opened.goto(f"{SITE.as_uri()}/{page}.html")
    tables = "[...document.querySelectorAll('.bd-article table')]"
    assert opened.evaluate(f"{tables}.length") > 2
    assert opened.evaluate(f"{tables}.filter(t => t.offsetWidth > t.parentElement.clientWidth + 1).length") == 0


def test_a_page_of_the_reference_leads_to_its_group_and_to_others_of_it(browser: Any) -> None:
    opened = browser.new_page()
    opened.goto(f"{SITE.as_uri()}/generated/reference/log.html")
    assert opened.locator(".bd-breadcrumbs").inner_text().split() == ["Reference", "Operations", "tg.log"]
    beside = opened.locator(".bd-sidebar-primary a").all_inner_texts()
    assert {"Operations", "Linear algebra", "tg.exp"} <= {*beside}
    assert "tg.linalg.inv" not in beside  # those of other groups would be most of each page
    opened.locator(".bd-breadcrumbs a", has_text="Operations").click()
    assert opened.title().startswith("Operations")
