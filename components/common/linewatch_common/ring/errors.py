"""What can go wrong with a frame in the ring, ordered by what the reader should do."""

from linewatch_common.errors import InputError, UnavailableError


class FrameOverwritten(InputError):  # noqa: N818 - named for what happened, as the outcome `missed` is
    """The writer has gone round (or is about to): this frame is lost for good; it ends as `missed`."""


class FrameNotThere(UnavailableError):  # noqa: N818 - as above
    """No frame of this number was written yet."""


class RingUnavailable(UnavailableError):  # noqa: N818 - as above
    """No ring, or not a readable one: the camera makes it (again); try later."""


class PictureTooLarge(InputError):  # noqa: N818 - as above
    """The picture does not fit into a slot."""
