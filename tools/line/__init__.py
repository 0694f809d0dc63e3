"""The whole bundle on a localcore, for the demo, the bench, the soak and the end-to-end tests."""

from tools.line.figures import percentile
from tools.line.line import COMPONENTS, MODELS, Line, LineError, LineSettings, build, components_with, free_port
from tools.line.records import Inspected, Records

__all__ = [
    "COMPONENTS",
    "MODELS",
    "Inspected",
    "Line",
    "LineError",
    "LineSettings",
    "Records",
    "build",
    "components_with",
    "free_port",
    "percentile",
]
