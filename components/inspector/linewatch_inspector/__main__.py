"""Put Inspector together and run it."""

import sys

import cv2
from linewatch_common.entry import component_main
from linewatch_common.service import Context, Service

from linewatch_inspector.captures.sending import AgentCaptures
from linewatch_inspector.component import Inspector
from linewatch_inspector.composition import compose
from linewatch_inspector.config import InspectorConfig, check
from linewatch_inspector.predictor import AgentPredictor
from linewatch_inspector.selfcheck import selfcheck

NAME = "com.linewatch.Inspector"


def build(config: InspectorConfig, context: Context) -> Inspector:
    """Put Inspector together with the real agent."""
    # The pictures are small: OpenCV's threads would only take the processors from the agent.
    cv2.setNumThreads(1)
    return compose(config, context, AgentPredictor(), AgentCaptures())


def main(arguments: list[str]) -> int:
    """Run; returns the exit code."""
    return component_main(
        arguments,
        "linewatch's inspector: judges every frame and keeps the ledger.",
        Service(NAME, InspectorConfig, build, check),
        selfcheck,
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
