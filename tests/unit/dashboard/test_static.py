"""What the page's files promise: nothing from elsewhere, no inline script or style, no text that becomes HTML."""

import re
from pathlib import Path

import pytest
from linewatch_dashboard.app import STATIC
from linewatch_dashboard.selfcheck import selfcheck

FILES = sorted(path for path in STATIC.iterdir() if path.is_file())
SCRIPTS = [path for path in FILES if path.suffix == ".js"]


def test_the_selfcheck_finds_everything() -> None:
    assert selfcheck().startswith("OK linewatch_dashboard")


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_nothing_is_fetched_from_elsewhere(path: Path) -> None:
    text = (
        path.read_text("utf-8")
        .replace('xmlns="http://www.w3.org/2000/svg"', "")
        .replace('"http://www.w3.org/2000/svg"', "")
    )
    assert not re.search(r"https?://", text)


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_no_script_makes_html_or_code_of_a_text(path: Path) -> None:
    forbidden = (
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function|setTimeout\(\s*[\"'`]|DOMParser"
    )
    assert not re.search(forbidden, path.read_text("utf-8"))


def test_the_page_has_no_inline_script_style_or_handler() -> None:
    page = (STATIC / "index.html").read_text("utf-8")
    assert re.findall(r"<script[^>]*>(.*?)</script>", page, re.DOTALL) == [""]
    assert not re.search(r"<style|\sstyle=|\son[a-z]+=|javascript:", page)
