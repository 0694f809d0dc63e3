from tests.unit.inspector.conftest import line, make_line

__all__ = ["line", "make_line"]
