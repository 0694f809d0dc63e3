"""Every layout of raw data that is known, behind one interface."""

from pathlib import Path

from linewatch_common.errors import InputError

from model_build.data.readers.captured import Captured
from model_build.data.readers.coco import Coco
from model_build.data.readers.fleet import Fleet
from model_build.data.readers.folders import MvTec, Reference
from model_build.data.readers.ground_truth import GroundTruth
from model_build.data.readers.kolektor import KolektorSDD, KolektorSDD2, KolektorWithManifest
from model_build.data.records import Reader

READERS: tuple[Reader, ...] = (
    KolektorWithManifest(),
    KolektorSDD2(),
    KolektorSDD(),
    Reference(),
    Coco(),
    GroundTruth(),
    Captured(),
    Fleet(),
    MvTec(),
)


def reader_for(folder: Path, name: str | None = None) -> Reader:
    """The reader with that name, or the first whose layout `folder` has. Raises InputError when there is none."""
    if not folder.is_dir():
        raise InputError(f"{folder}: there is no such folder")
    if name is not None:
        named = {reader.name: reader for reader in READERS}
        if name not in named:
            raise InputError(f"layout {name!r} is unknown, expected one of {', '.join(named)}")
        return named[name]
    for reader in READERS:
        if reader.fits(folder):
            return reader
    known = "\n".join(f"  {reader.name}: {reader.layout}" for reader in READERS)
    raise InputError(f"{folder}: no known layout. Known are\n{known}")
