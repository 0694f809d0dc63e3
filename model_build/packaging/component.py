"""`component` of the command line: from a package to a Greengrass component version, recipe and zips."""

import argparse
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from linewatch_common.approval import PACKAGE_FOLDER, is_enveloped
from linewatch_common.errors import InputError, PackageError
from linewatch_common.manifest import MANIFEST_FILE, load_manifest, verify_files

from components.builder.build import Request, build
from components.builder.cli import architectures_named
from components.builder.errors import BuildError
from components.builder.progress import open_progress
from components.builder.table import MODEL_PREFIX
from model_build.data.commands import Commands
from model_build.packaging.envelope import verify
from model_build.packaging.keys import TrustedKeys, read_trusted
from model_build.packaging.tarball import unpack

_ROOT = Path(__file__).parents[2]
_COMPONENT = """Make a Greengrass component version from a package: OUT/recipes/NAME-VERSION.json and OUT/artifacts/NAME/VERSION/*.zip.

PACKAGE is OUT/<identifier> of `package`, its .tar.gz, or a package's folder. A signature beside it goes along. The component is
com.linewatch.model.<the model's name>, its version the package's. With --trust an unsigned package is refused, and one that another key
signed.

  python -m model_build component build/packages/SurfaceInspector-1-0-0 build/components --trust signing.pem.pub
"""


def add_component(commands: Commands) -> None:
    """Add it to the parser."""
    parser = commands.add_parser(
        "component",
        help="a package as a Greengrass component version",
        description=_COMPONENT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("package", type=Path, help="a package")
    parser.add_argument("out", type=Path, help="folder for recipes/ and artifacts/")
    parser.add_argument("--trust", type=Path, action="append", default=[], help="a public key, PEM; may be repeated")
    parser.add_argument("--architecture", choices=["amd64", "aarch64", "host", "all"], default="all")
    parser.add_argument("--python", default="3.11", metavar="3.11", help="the device's Python (default %(default)s)")
    parser.add_argument("--cache", type=Path, help="of the builds (default: the checkout's)")
    parser.set_defaults(command=_command)


@dataclass(frozen=True, slots=True)
class Workshop:
    """Where components are built: a checkout's `root` (recipes, code, locks), the cache, and for which devices."""

    root: Path
    cache: Path
    architecture: str = "all"
    python: str = "3.11"


def build_component(package: Path, out: Path, workshop: Workshop, trusted: TrustedKeys | None = None) -> str:
    """Build the component version of `package` into `out`; returns its name and version.

    Raises InputError (PackageError): a package that is not whole, not signed by a trusted key, or a build that fails.
    """
    with TemporaryDirectory() as work:
        folder = _folder(package, Path(work))
        if trusted is not None:
            _verify(folder, trusted)
        manifest = load_manifest(folder)
        verify_files(folder, manifest)
        _build(folder, out, MODEL_PREFIX + manifest.name, workshop)
    return f"{MODEL_PREFIX}{manifest.name} {manifest.version}"


def _command(options: argparse.Namespace) -> None:
    cache = options.cache or _ROOT / ".cache" / "build"
    workshop = Workshop(_ROOT, cache, options.architecture, options.python)
    built = build_component(
        options.package, options.out, workshop, read_trusted(options.trust) if options.trust else None
    )
    print(f"{options.out}: {built}")


def _folder(package: Path, work: Path) -> Path:
    if package.is_file():
        unpack(package, work)
        package = work
    for folder in (package / PACKAGE_FOLDER, package):
        if (folder / MANIFEST_FILE).is_file():
            return folder.resolve()
    raise PackageError(f"{package}: no package in it ({PACKAGE_FOLDER}/{MANIFEST_FILE})")


def _verify(folder: Path, trusted: TrustedKeys) -> None:
    """A signature beside `folder` is another package's when the folder is not called `package`."""
    if not is_enveloped(folder):
        raise PackageError(
            f"{folder}: is not signed (a signed package is PLACE/package beside PLACE/signature.json); sign it first"
        )
    verify(folder.parent, trusted)


def _build(folder: Path, out: Path, component: str, workshop: Workshop) -> None:
    try:
        request = Request(
            root=workshop.root,
            out=out.resolve(),
            cache=workshop.cache.resolve(),
            components=[component],
            architectures=architectures_named(workshop.architecture),
            python=workshop.python,
            versions={},
            packages={component: folder},
            site={},
        )
        with open_progress(True) as progress:
            failures = build(request, progress)
    except BuildError as error:
        raise InputError(str(error)) from error
    if failures:
        raise InputError("; ".join(failures))
