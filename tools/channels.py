"""Every topic with its sender and messages: what the published schemas and docs/integration.md are made from."""

from dataclasses import dataclass

from linewatch_common.messages import Message, examples


@dataclass(frozen=True, slots=True)
class Channel:
    """One topic; `{station}` stands for the configured station, `{thing}` for the device's thing name."""

    name: str
    address: str
    sender: str
    summary: str
    messages: tuple[Message, ...]


CHANNELS = (
    Channel(
        "verdicts",
        "linewatch/{station}/verdicts",
        "Inspector",
        "The integrator's topic: one Verdict for every part, then InspectionStored once its picture lies on disk.",
        examples.VERDICTS,
    ),
    Channel("alerts", "linewatch/{station}/alerts", "Inspector", "A condition began or ended.", examples.ALERTS),
    Channel("frames", "linewatch/{station}/frames", "Camera", "A handle for each frame, no pixels.", examples.FRAMES),
    Channel(
        "models",
        "linewatch/{station}/models",
        "model components and EdgeAgent",
        "Offers of model versions and what became of them.",
        examples.MODELS,
    ),
    Channel(
        "status",
        "linewatch/{station}/status",
        "every component",
        "A heartbeat every 2 seconds, with the state that others need.",
        examples.STATUS,
    ),
    Channel(
        "commands",
        "linewatch/{station}/commands",
        "integrators and Dashboard",
        "Trigger, pause, resume, set the part id, label a verdict.",
        examples.COMMANDS,
    ),
    Channel(
        "command-results",
        "linewatch/{station}/commands/results",
        "the component that carried a command out",
        "One answer for each command, with its command_id.",
        examples.COMMAND_RESULTS,
    ),
    Channel(
        "fleet-health",
        "linewatch/fleet/{thing}/health",
        "Inspector",
        "To AWS IoT Core, each minute: how the device does. Not a local topic.",
        examples.FLEET,
    ),
)
