"""What a build fails with."""


class BuildError(Exception):
    """One line that says what cannot be built and why."""
