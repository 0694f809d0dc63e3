"""Which folder a url means, and which are refused."""

from pathlib import Path

import pytest
from linewatch_agent.errors import BadRequestError, NotLoadableError
from linewatch_agent.roots import ModelRoots, greengrass_roots

from tests.unit.agent.support import model_folder


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """The agent's work folder on a core, beside a component that brought a model."""
    model_folder(tmp_path / "gg/work/com.model.darknet")
    made = tmp_path / "gg/work/com.linewatch.EdgeAgent"
    made.mkdir()
    return made


@pytest.fixture
def roots(work: Path) -> ModelRoots:
    return ModelRoots(work, greengrass_roots(work))


def test_urls_as_clients_write_them(roots: ModelRoots, work: Path) -> None:
    model = work.parent / "com.model.darknet"
    for url in ("../com.model.darknet", str(model), f"{model}/", f"file://{model}"):
        assert roots.folder_of(url) == model


def test_a_greengrass_artefact_is_inside(roots: ModelRoots, work: Path) -> None:
    folder = model_folder(work.parents[1] / "packages/artifacts-unarchived/com.model/1.0.0")
    assert roots.folder_of(str(folder)) == folder


@pytest.mark.parametrize("url", ["/etc", "../../..", "file:///etc", "%2e%2e/../../../x", "/gg/../etc"])
def test_a_url_that_leaves_the_roots_is_refused(roots: ModelRoots, url: str) -> None:
    with pytest.raises(NotLoadableError, match="outside of AllowedRoots"):
        roots.folder_of(url)


def test_links_that_leave_the_roots_are_refused(roots: ModelRoots, work: Path, tmp_path: Path) -> None:
    secret = model_folder(tmp_path / "secret")
    (work / "link").symlink_to(secret)
    with pytest.raises(NotLoadableError, match="outside of AllowedRoots"):
        roots.folder_of("link")
    (work / "model/variables").mkdir(parents=True)
    (work / "model/variables/weights").symlink_to(secret / "model.onnx")
    with pytest.raises(NotLoadableError, match="weights: is a link that leads outside"):
        roots.folder_of("model")


def test_links_that_leave_the_roots_by_way_of_a_linked_folder_are_refused(
    roots: ModelRoots, work: Path, tmp_path: Path
) -> None:
    secret = model_folder(tmp_path / "secret")
    (work / "model").mkdir()
    (work / "other").mkdir()
    (work / "other/weights").symlink_to(secret / "model.onnx")
    (work / "model/variables").symlink_to(work / "other")
    with pytest.raises(NotLoadableError, match="other/weights: is a link that leads outside"):
        roots.folder_of("model")


def test_links_inside_and_circles(roots: ModelRoots, work: Path) -> None:
    (work / "link").symlink_to("../com.model.darknet")
    assert roots.folder_of("link") == work.parent / "com.model.darknet"
    (work / "round").mkdir()
    for name in ("a", "b"):
        (work / "round" / name).symlink_to(".")
    assert roots.folder_of("round") == work / "round"
    (work / "circle").symlink_to("circle")
    with pytest.raises(NotLoadableError, match="circle"):
        roots.folder_of("circle")


def test_without_roots_everything_is_open(work: Path) -> None:
    assert ModelRoots(work).folder_of("/etc") == Path("/etc")


@pytest.mark.parametrize("url", ["", "a\0b"])
def test_what_is_no_path_is_a_bad_request(roots: ModelRoots, url: str) -> None:
    with pytest.raises(BadRequestError, match="want a folder"):
        roots.folder_of(url)
