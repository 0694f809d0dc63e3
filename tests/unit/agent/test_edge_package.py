"""What SageMaker Edge Manager's packaging job called a model."""

import logging
import os
from pathlib import Path

import pytest
from linewatch_agent.edge_package import EdgePackage, packaged_as


def test_other_models_have_none(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert packaged_as(tmp_path) is None
    assert not caplog.records


def test_name_and_version_are_read(tmp_path: Path) -> None:
    (tmp_path / "sagemaker_edge_manifest").write_text(
        '{"version": "1", "metadata": {"model_name": "mxnet-classifier", "model_version": "1.0", "more": 1}}'
    )
    assert packaged_as(tmp_path) == EdgePackage("mxnet-classifier", "1.0")


def test_a_pipe_holds_nothing_up(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "sagemaker_edge_manifest")
    assert packaged_as(tmp_path) is None


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff",
        b"{}",
        b'{"metadata": {"model_name": "a"}}',
        b'{"metadata": {"model_name": "../../escape", "model_version": "1"}}',
        b'{"metadata": {"model_name": "a\\n", "model_version": "1"}}',
        b'{"metadata": {"model_name": "a", "model_version": "1/2"}}',
        b"[" * 100_000,
    ],
)
def test_one_that_cannot_be_is_named_and_left_alone(
    tmp_path: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "sagemaker_edge_manifest").write_bytes(content)
    with caplog.at_level(logging.WARNING):
        assert packaged_as(tmp_path) is None
    assert "goes by the name that the model is loaded under" in caplog.text
