"""Where things lie under a core's root."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Layout:
    """Paths only: nothing is read or made here."""

    root: Path

    @property
    def socket(self) -> Path:
        """The IPC socket."""
        return self.root / "ipc.sock"

    @property
    def cli_token(self) -> Path:
        """The command line's token, mode 0600."""
        return self.root / "cli-token"

    @property
    def lock(self) -> Path:
        """Held by the running core."""
        return self.root / "lock"

    @property
    def state(self) -> Path:
        """Placed components, roots and deployments."""
        return self.root / "state.json"

    @property
    def configuration(self) -> Path:
        """The configuration store."""
        return self.root / "configuration.json"

    @property
    def recipes(self) -> Path:
        """The recipes of all local deployments so far."""
        return self.root / "recipes"

    def artifacts(self, name: str, version: str) -> Path:
        """A component version's files."""
        return self.root / "artifacts" / name / version

    def decompressed(self, name: str, version: str) -> Path:
        """A component version's unpacked files."""
        return self.root / "artifacts-unarchived" / name / version

    def work(self, name: str) -> Path:
        """A component's work folder, kept over versions."""
        return self.root / "work" / name

    def log(self, name: str) -> Path:
        """A component's log."""
        return self.root / "logs" / f"{name}.log"
