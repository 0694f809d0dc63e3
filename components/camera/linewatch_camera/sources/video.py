"""Frames of a video file, in order, once or again and again."""

from pathlib import Path

from linewatch_common.errors import InputError, UnavailableError
from linewatch_common.ring import Stamp

from linewatch_camera.cursors import pack_cursor, unpack_cursor
from linewatch_camera.decoding import to_ring_format
from linewatch_camera.sources.capture_port import VideoCapture
from linewatch_camera.sources.folder import part_id_of
from linewatch_camera.sources.opencv import open_file, retrieved
from linewatch_camera.sources.port import Picture, SourceEnded, SourceFailure
from linewatch_camera.sources.waiting import WaitingSource


class VideoFileSource(WaitingSource):
    """A `Source` of a video file; the part id is the file's name and the frame's number."""

    def __init__(self, path: str, *, loop: bool, slot_bytes: int) -> None:
        self._path = path
        self._loop = loop
        self._slot_bytes = slot_bytes
        self._capture: VideoCapture | None = None
        self._passes = 0
        self._place = 0

    @property
    def name(self) -> str:
        """See Source."""
        return f"video {self._path}"

    def start(self, cursor: int) -> None:
        """See Source."""
        self._passes, self._place = unpack_cursor(cursor)

    def read(self, not_before_ns: int = 0) -> Picture | SourceFailure:  # noqa: ARG002 - files wait
        """See Source."""
        if self._capture is None:
            self._capture = self._open_at_place()
        stamp = Stamp.now()
        if not self._capture.grab():
            self._begin_again()
            return self.read()
        self._place += 1
        cursor = pack_cursor(self._passes, self._place)
        part_id = part_id_of(f"{Path(self._path).stem}-{self._place:06d}.x")
        try:
            pixels, pixel_format = to_ring_format(retrieved(self._capture, self._slot_bytes))
        except InputError as error:
            return SourceFailure(
                reason=f"{Path(self._path).name}, frame {self._place}: {error}",
                stamp=stamp,
                part_id=part_id,
                cursor=cursor,
            )
        return Picture(pixels=pixels, pixel_format=pixel_format, stamp=stamp, part_id=part_id, cursor=cursor)

    def close(self) -> None:
        """See Source."""
        if self._capture is not None:
            self._capture.release()
        self._capture = None

    def _begin_again(self) -> None:
        """Raises SourceEnded unless the file is looped; UnavailableError when it has no frame at all."""
        self.close()
        if self._place == 0:
            raise UnavailableError(f"{self._path}: the video has no frames")
        if not self._loop:
            raise SourceEnded
        self._passes, self._place = self._passes + 1, 0

    def _open_at_place(self) -> VideoCapture:
        """Skips by grabbing: seeking lands on key frames in many files."""
        capture = open_file(self._path)
        for _ in range(self._place):
            if not capture.grab():
                break
        return capture
