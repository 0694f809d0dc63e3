"""`key`, `package`, `sign`, `verify` and `component` of the command line."""

import argparse
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
from linewatch_common.approval import PACKAGE_FOLDER
from linewatch_common.errors import InputError
from linewatch_common.manifest import Manifest, Version, manifest_digest

from model_build.data.commands import Commands
from model_build.packaging import assemble, draft
from model_build.packaging.component import add_component
from model_build.packaging.envelope import verify
from model_build.packaging.golden import CLEAR
from model_build.packaging.inputs import read_inputs
from model_build.packaging.keys import configuration_line, new_key, read_private, read_trusted
from model_build.packaging.package import Signing, Stored, all_versions, store
from model_build.packaging.tarball import pack
from model_build.packaging.versions import check_version, next_version

_KEY = """Make a key that signs packages: PATH (mode 0600, keep it away from devices and repositories) and PATH.pub.

The line that is printed goes into EdgeAgent's configuration, key TrustedKeys.

  python -m model_build key signing.pem
"""
_PACKAGE = """Make a package from what was trained, compiled and evaluated: manifest, weights, golden set, provenance; and sign it.

ARTEFACT is a folder of `compile`, or the .tar.gz of a SageMaker Neo compilation job. RUN, EVALUATION and DATA must belong to it: their
digests are compared. A model that its gate refuses gets no package. The thresholds are those of the evaluation.

The golden set is what a device proves the model with, so its pictures travel to every device. `--golden validation` takes up to six
real pictures of the training split, and one more of each kind of defect that these do not show (their ids are printed);
`--golden generated` takes drawn ones, where no real picture may leave.

OUT/<identifier>/package is what a device gets, OUT/<identifier>/signature.json says who approved it, OUT/<identifier>.tar.gz holds both.
The same inputs give the same package; the same command again gives back what is stored. Without --key it is not signed: `sign` does
that later. Without --version it gets the next one after the highest in OUT: MAJOR counts changes of tensors and labels, MINOR is the
registry's version (--registry-version), PATCH counts packages of the same weights. A wrong --version is refused.

  python -m model_build package build/int8 build/packages --run build/run --evaluation build/evaluation --data build/data/parts \\
      --name SurfaceInspector --golden validation --key signing.pem --approver anna
  python -m model_build verify build/packages/SurfaceInspector-1-0-0 --trust signing.pem.pub
  python -m model_build component build/packages/SurfaceInspector-1-0-0 build/components
"""
_SIGN = """Sign a package: one that `package` made without a key, or a folder with the weights, the golden set and a manifest.json.

OUT/<identifier> gets the package and the signature. What is stored there already is signed where it lies; a retry gives back the stored
signature. The manifest's `files` are filled in. The same version with other content is refused, and so is a version below a stored one.

`--security-floor 1.2.0` says: no version of this model below 1.2.0 may be used any more. Devices that have seen it refuse those.

  python -m model_build sign build/packages/SurfaceInspector-1-0-0/package build/packages --key signing.pem --approver anna
"""
_VERIFY = """Check a signed package as a device does: the signature by the given keys, then the manifest's bytes, then every file.

Prints what was approved, by whom and when. A package that is not signed, or signed by another key only, is refused.

  python -m model_build verify build/packages/SurfaceInspector-1-0-0 --trust signing.pem.pub
"""
_RAW = argparse.RawDescriptionHelpFormatter


def add_commands(commands: Commands) -> None:
    """Add all five to the parser."""
    key = commands.add_parser("key", help="make a key that signs packages", description=_KEY, formatter_class=_RAW)
    key.add_argument("path", type=Path, help="the private key to write; the public one goes to PATH.pub")
    key.add_argument(
        "--kind", choices=["p256", "ed25519"], default="p256", help="default p256: devices and AWS KMS know it"
    )
    key.set_defaults(command=_key)
    _add_package(commands)
    sign = commands.add_parser("sign", help="sign a package", description=_SIGN, formatter_class=_RAW)
    sign.add_argument("source", type=Path, help="the package's folder")
    sign.add_argument("out", type=Path, help="folder of all packages")
    _add_signing(sign, required=True)
    sign.set_defaults(command=_sign)
    check = commands.add_parser("verify", help="check a signed package", description=_VERIFY, formatter_class=_RAW)
    check.add_argument("place", type=Path, help="OUT/<identifier>")
    check.add_argument("--trust", type=Path, action="append", required=True, help="a public key, PEM; may be repeated")
    check.add_argument("--name", help="refuse another model")
    check.add_argument("--not-before", type=_version, help="refuse a version below this one")
    check.set_defaults(command=_verify)
    add_component(commands)


def _add_package(commands: Commands) -> None:
    package = commands.add_parser(
        "package", help="make a package, signed or not", description=_PACKAGE, formatter_class=_RAW
    )
    package.add_argument("artefact", type=Path, help="folder of `compile`, or a Neo job's .tar.gz")
    package.add_argument("out", type=Path, help="folder of all packages")
    package.add_argument("--run", type=Path, required=True, help="folder of `train`")
    package.add_argument("--evaluation", type=Path, required=True, help="folder of `evaluate`, or its evaluation.json")
    package.add_argument("--data", type=Path, required=True, help="folder of `prepare`")
    package.add_argument("--name", required=True, help="the model's name, e.g. SurfaceInspector")
    package.add_argument("--version", type=_version, help="default: the next one")
    package.add_argument("--registry-version", type=int, help="the model's number in the registry")
    package.add_argument(
        "--golden", choices=["validation", "generated"], required=True, help="whose pictures every device will get"
    )
    package.add_argument(
        "--role",
        choices=["classifier", "segmenter", "inspector"],
        help="default: by the model's outputs; classifier where nobody drew a defect",
    )
    package.add_argument("--minimum-area", type=int, default=1, help="fewest mask cells that make a defect (default 1)")
    package.add_argument("--licence", default="not stated", help="of the weights and the golden pictures")
    _add_signing(package, required=False)
    package.set_defaults(command=_package)


def _add_signing(parser: argparse.ArgumentParser, *, required: bool) -> None:
    parser.add_argument("--key", type=Path, required=required, help="private key, PEM, mode 0600")
    parser.add_argument("--approver", required=required, help="who approved this model")
    parser.add_argument("--approved-at", default=None, help="when, e.g. 2026-11-22T10:00:00Z (default: now)")
    parser.add_argument(
        "--security-floor", type=_version, metavar="VERSION", help="no version below this one may be used any more"
    )


def _version(text: str) -> str:
    try:
        return str(msgspec.convert(text, Version))
    except msgspec.ValidationError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no version like 1.2.0") from error


def _signing(options: argparse.Namespace) -> Signing | None:
    if options.key is None:
        return None
    if not options.approver:
        raise InputError("--approver: a signed package says who approved it")
    moment = options.approved_at or datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return Signing(read_private(options.key), options.approver, moment, options.security_floor)


def _key(options: argparse.Namespace) -> None:
    name = new_key(options.path, options.kind)
    line = configuration_line(*read_trusted([Path(f"{options.path}.pub")]).keys.values())
    print(f"key {name}\nTrustedKeys: {line}")


def _package(options: argparse.Namespace) -> None:
    with TemporaryDirectory() as work:
        inputs = read_inputs(options.artefact, options.run, options.evaluation, options.data, Path(work))
        wish = assemble.Wish(
            name=options.name,
            version=options.version or "0.0.0",
            golden=options.golden,
            role=options.role,
            minimum_area=options.minimum_area,
            licence=options.licence,
        )

        def fill(folder: Path) -> Manifest:
            made = assemble.assemble(inputs, wish, folder)
            print(f"golden pictures, which every device gets: {', '.join(made.pictures)}")
            if made.margin is not None and made.margin < CLEAR:
                print(f"a golden score lies only {made.margin:.4f} from a threshold: nothing clearer was found")
            return made.manifest

        stored = store(options.out, fill, _signing(options), partial(_versioned, options))
    pack(stored.place, options.out / f"{stored.manifest.identifier}.tar.gz")
    _said(stored)


def _versioned(options: argparse.Namespace, folder: Path, manifest: Manifest, previous: Manifest | None) -> Manifest:
    """Check the wished version, or find one: a stored one when its content is this one, else the next."""
    if options.version:
        check_version(manifest, previous, options.registry_version)
        return manifest
    for stored in all_versions(options.out, manifest.name):
        again = draft.with_version(folder, stored.version)
        if manifest_digest(folder) == manifest_digest(options.out / stored.identifier / PACKAGE_FOLDER):
            return again
    return draft.with_version(folder, next_version(manifest, previous, options.registry_version))


def _sign(options: argparse.Namespace) -> None:
    stored = store(options.out, partial(draft.complete, options.source), _signing(options))
    pack(stored.place, options.out / f"{stored.manifest.identifier}.tar.gz")
    _said(stored)


def _said(stored: Stored) -> None:
    signed = "not signed" if stored.key is None else f"signed by key {stored.key}"
    print(f"{stored.place}: {stored.digest}, {signed}")


def _verify(options: argparse.Namespace) -> None:
    approval, _ = verify(options.place, read_trusted(options.trust), options.name, options.not_before)
    print(
        f"{approval.name} {approval.version} {approval.digest}: approved by {approval.approver} at {approval.approved_at}"
    )
