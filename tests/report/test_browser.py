"""The page in a browser: everything is shown, and nothing is wider than the screen."""

from __future__ import annotations

import html
import json
import os
import re
import shutil
import subprocess

import pytest

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
# The page itself forbids scripts; that of the page around it looks at it from outside.
AROUND = """<!DOCTYPE html>
<iframe style="width: {width}px; height: 800px; border: 0" srcdoc="{page}"></iframe>
<script>
onload = () => {{
  const page = document.querySelector("iframe").contentDocument, root = page.documentElement;
  const images = [...page.images];
  const found = {{
    shown: root.clientWidth,
    needed: root.scrollWidth,
    images: images.length,
    drawn: images.filter(image => image.complete && image.naturalWidth > 0).length,
    widest: Math.max(...images.map(image => image.getBoundingClientRect().width)),
    smallest: parseFloat(page.defaultView.getComputedStyle(page.querySelector("figcaption")).fontSize),
    scripts: page.scripts.length,
  }};
  document.body.innerHTML = "<pre>" + JSON.stringify(found) + "</pre>";
}};
</script>
"""


@pytest.fixture(scope="module")
def browser():
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        pytest.skip(f"no browser: none of {', '.join(BROWSERS)} is on the path")
    return found


def measured(browser, page, width, folder):
    """What the page around says of it."""
    path = folder / "around.html"
    path.write_text(AROUND.format(width=width, page=html.escape(page)))
    options = ["--headless", "--disable-gpu", f"--user-data-dir={folder / 'profile'}", "--dump-dom"]
    # Its sandbox does not run as root.
    options += ["--no-sandbox"] if os.geteuid() == 0 else []
    done = subprocess.run([browser, *options, path.as_uri()], capture_output=True, text=True, timeout=120, check=True)
    return json.loads(re.search("<pre>(.*)</pre>", done.stdout)[1])


@pytest.mark.parametrize(("name", "width"), [("page", 320), ("page", 390), ("page", 1280), ("odd_page", 390)])
def test_nothing_is_wider_than_the_screen(browser, name, width, request, tmp_path):
    page = request.getfixturevalue(name)
    found = measured(browser, page, width, tmp_path)
    assert found["needed"] <= found["shown"] <= width
    assert found["images"] == found["drawn"] == page.count("<img ")
    assert found["widest"] <= width
    assert found["smallest"] >= 14
    assert found["scripts"] == 0


def test_something_wider_would_be_noticed(browser, page, tmp_path):
    found = measured(browser, page.replace("max-width: 100%", ""), 390, tmp_path)
    assert found["needed"] > found["shown"]
