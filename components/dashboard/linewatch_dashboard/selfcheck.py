"""Whether the artefact holds what the page needs; writes nothing."""

import importlib
import re

import starlette
import uvicorn
from linewatch_common import __version__
from websockets.version import version as websockets_version

from linewatch_dashboard.app import STATIC

# What uvicorn loads only when it serves, and the core's client only when it links.
LATE_IMPORTS = (
    "awsiot.greengrasscoreipc.clientv2",
    "sqlite3",
    "uvicorn.protocols.http.h11_impl",
    "uvicorn.protocols.websockets.websockets_sansio_impl",
)


def selfcheck() -> str:
    """One line that begins with OK. Raises ImportError, or RuntimeError for a file of the page that is missing."""
    for name in LATE_IMPORTS:
        importlib.import_module(name)
    page = (STATIC / "index.html").read_text(encoding="utf-8")
    files = re.findall(r'(?:src|href)="/static/([^"]+)"', page)
    files += [
        name for file in STATIC.glob("*.js") for name in re.findall(r'from "\./([^"]+)"', file.read_text("utf-8"))
    ]
    missing = sorted({name for name in files if not (STATIC / name).is_file()})
    if missing:
        raise RuntimeError(f"the page lacks {', '.join(missing)}")
    versions = f"starlette {starlette.__version__}, uvicorn {uvicorn.__version__}, websockets {websockets_version}"
    return f"OK linewatch_dashboard {__version__}: {len(set(files))} files, {versions}"
