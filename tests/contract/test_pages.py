"""The pages hold together: links lead somewhere, and the configurations in their examples are ones that the components take."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from linewatch_common.config import read_config

from tools.recipes import ROOT, config_class

COMPONENTS = {path.stem for path in (ROOT / "recipes").glob("*.json")}
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCES = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)
# Pages whose examples are messages, not configurations.
MESSAGES = {"integration.md"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    prose = FENCES.sub("", page.read_text())
    broken = [link for link in re.findall(r"\]\(([^)\s]+)\)", prose) if not _leads(page, link)]
    assert broken == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_examples_configure_what_there_is(page: Path) -> None:
    if page.name in MESSAGES:
        return
    for example in _examples(page.read_text()):
        for component, configuration in _configurations(example):
            _, warnings = read_config(config_class(component), configuration, component)
            assert warnings == []


def test_the_pages_show_configurations() -> None:
    shown = {c for page in PAGES for example in _examples(page.read_text()) for c, _ in _configurations(example)}
    assert {"com.linewatch.Camera", "com.linewatch.EdgeAgent", "com.linewatch.Inspector"} <= shown


@pytest.mark.parametrize("name", ["SurfaceClassifier", "SurfaceSegmenter", "SurfaceInspector"])
def test_the_samples_figures_are_those_of_their_manifests(name: str) -> None:
    section = (ROOT / "docs/models.md").read_text().partition("\n## The samples\n")[2].partition("\n## ")[0]
    metrics = json.loads((ROOT / "components/models" / name / "manifest.json").read_bytes())["metrics"]
    shown = {"image_ap": ".4f", "image_auroc": ".4f", "pixel_ap": ".3f", "pixel_iou": ".3f"}
    figures = [format(metrics[figure], places) for figure, places in shown.items() if figure in metrics]
    assert len(figures) >= 2
    assert [figure for figure in figures if figure not in section] == []


def _leads(page: Path, link: str) -> bool:
    if link.startswith("https://"):
        return True
    path, _, anchor = link.partition("#")
    target = page.parent / path if path else page
    return target.exists() and (not anchor or anchor in _anchors(target))


def _anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.*)$", FENCES.sub("", page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def _examples(text: str) -> Iterator[Any]:
    """JSON in a block of its own, fenced or indented."""
    for block in re.findall(r"^```json\n(.*?)^```$|((?:^ {4}[^\n]+\n)+)", text, re.DOTALL | re.MULTILINE):
        try:
            yield json.loads(block[0] or block[1])
        except ValueError:
            continue  # another language, or several values


def _configurations(example: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """Component and keys, of a command line's file, a deployment document, or a fleet's file."""
    if not isinstance(example, dict):
        return
    for name, value in example.items():
        if name not in COMPONENTS:
            yield from _configurations(value)
        elif "configurationUpdate" in value:
            yield name, json.loads(value["configurationUpdate"]["merge"])
        else:
            yield name, next((value[key] for key in ("merge", "MERGE") if key in value), value)
