"""The whole bundle on a localcore, for the demo, the bench, the soak and the end-to-end tests."""

from tools.line.figures import percentile
from tools.line.line import COMPONENTS, Line, LineError, LineSettings, build, free_port
from tools.line.records import Inspected, Records

__all__ = [
    "COMPONENTS",
    "Inspected",
    "Line",
    "LineError",
    "LineSettings",
    "Records",
    "build",
    "free_port",
    "percentile",
]
