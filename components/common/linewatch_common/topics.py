"""The names of the topics: the only place that spells them.

All are Greengrass local publish/subscribe topics, flat below the station, except `fleet_health`, which goes to AWS IoT Core.
"""

import re
from dataclasses import dataclass

from linewatch_common.errors import ConfigError

STATION_PATTERN = r"^[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?$"


@dataclass(frozen=True, slots=True)
class Topics:
    """The topics of one station.

    Raises ConfigError when `station` is not 1 to 32 lower-case letters, digits and inner dashes.
    """

    station: str

    def __post_init__(self) -> None:
        if not re.fullmatch(STATION_PATTERN, self.station):
            raise ConfigError(f"station {self.station!r}: want 1 to 32 of a-z, 0-9 and inner dashes, e.g. 'line1'")

    @property
    def frames(self) -> str:
        """Camera: FrameCaptured, FrameFailed."""
        return f"linewatch/{self.station}/frames"

    @property
    def verdicts(self) -> str:
        """Inspector: Verdict, then InspectionStored."""
        return f"linewatch/{self.station}/verdicts"

    @property
    def alerts(self) -> str:
        """Inspector: Alert."""
        return f"linewatch/{self.station}/alerts"

    @property
    def models(self) -> str:
        """Model components and EdgeAgent: ModelOffered, ModelProved, ModelActivated, ModelWaiting, ModelRetired, ModelRefused."""
        return f"linewatch/{self.station}/models"

    @property
    def status(self) -> str:
        """Every component: Heartbeat."""
        return f"linewatch/{self.station}/status"

    @property
    def commands(self) -> str:
        """Integrators and Dashboard: the commands."""
        return f"linewatch/{self.station}/commands"

    @property
    def command_results(self) -> str:
        """Whoever carried out a command: CommandResult."""
        return f"linewatch/{self.station}/commands/results"


def fleet_health(thing: str) -> str:
    """The AWS IoT Core topic of a device's health report."""
    return f"linewatch/fleet/{thing}/health"
