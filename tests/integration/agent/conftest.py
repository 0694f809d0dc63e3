"""A running agent in a short folder: the fixtures of the unit tests serve here, too."""

from tests.unit.agent.conftest import client, folder, tmp_path

__all__ = ["client", "folder", "tmp_path"]
