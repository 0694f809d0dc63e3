"""A model in service."""

from dataclasses import dataclass, field

from linewatch_common.messages.status import RoleStatus

from linewatch_agent.loading import LoadedModel
from linewatch_agent.outage import Outage
from linewatch_agent.packages import StoredPackage


@dataclass(slots=True)
class ActiveModel:
    """`offered`: a model component stands behind it since our start. `withdrawn_at`: monotonic, when that one said that it goes.

    `previous`: the manifest digest of the package that it replaced, the way back; None after that way was taken.
    """

    role: str
    package: StoredPackage
    model: LoadedModel
    offered: bool
    withdrawn_at: float | None = None
    previous: str | None = None
    outage: Outage = field(default_factory=Outage)

    @property
    def identifier(self) -> str:
        """The name that it is served under."""
        return self.package.manifest.identifier

    def status(self) -> RoleStatus:
        """For the heartbeat."""
        return RoleStatus(
            identifier=self.identifier,
            version=self.package.manifest.version,
            folder=str(self.package.folder),
            manifest_digest=self.package.digest,
        )
