"""What all sources of files have in common."""


class WaitingSource:
    """The part of a `Source` whose pictures wait until they are taken: nothing is discarded, nothing is lost and had again."""

    @property
    def live(self) -> bool:
        """See Source."""
        return False

    @property
    def discarded(self) -> int:
        """See Source."""
        return 0

    @property
    def reconnects(self) -> int:
        """See Source."""
        return 0
