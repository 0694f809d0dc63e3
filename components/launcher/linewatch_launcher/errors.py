"""What ends the launcher; each message is one line that names what, where and why."""


class LauncherError(Exception):
    """The step cannot be done here and now (disk, files)."""


class WrongHostError(LauncherError):
    """This artefact is not for this machine or interpreter: another one is."""
