"""`key`, `package` and `verify` of the command line."""

import argparse
from datetime import UTC, datetime
from pathlib import Path

from model_build.data.commands import Commands
from model_build.packaging.envelope import verify
from model_build.packaging.keys import key_id, new_key, read_private, read_trusted
from model_build.packaging.package import make

_PACKAGE = """Make a signed package from a folder with the weights, the golden set and a draft manifest.json (its `files` are filled in).

OUT/<identifier>/package is what a device gets, OUT/<identifier>/signature.json says who approved it. The same command again gives
back what is stored. The same version with other content is refused, and so is a version below a stored one.

  python -m model_build key signing.pem
  python -m model_build package build/model build/packages --key signing.pem --approver anna --approved-at 2026-11-22T10:00:00Z
  python -m model_build verify build/packages/SurfaceInspector-1-0-0 --trust signing.pem.pub
"""


def add_commands(commands: Commands) -> None:
    """Add all three to the parser."""
    raw = argparse.RawDescriptionHelpFormatter
    key = commands.add_parser("key", help="make a key that signs packages", description=__doc__)
    key.add_argument("path", type=Path, help="the private key to write; the public one goes to PATH.pub")
    key.add_argument(
        "--kind", choices=["p256", "ed25519"], default="p256", help="default p256: devices and AWS KMS know it"
    )
    key.set_defaults(command=lambda options: print(f"key {new_key(options.path, options.kind)}"))
    package = commands.add_parser("package", help="make a signed package", description=_PACKAGE, formatter_class=raw)
    package.add_argument("source", type=Path, help="folder with weights, golden set and manifest.json")
    package.add_argument("out", type=Path, help="folder of all signed packages")
    package.add_argument("--key", type=Path, required=True, help="private key, PEM, mode 0600")
    package.add_argument("--approver", required=True, help="who approved this model")
    package.add_argument("--approved-at", default=None, help="when, e.g. 2026-11-22T10:00:00Z (default: now)")
    package.set_defaults(command=_package)
    check = commands.add_parser("verify", help="check a signed package", description=_PACKAGE, formatter_class=raw)
    check.add_argument("place", type=Path, help="OUT/<identifier>")
    check.add_argument("--trust", type=Path, action="append", required=True, help="a public key, PEM; may be repeated")
    check.add_argument("--name", help="refuse another model")
    check.add_argument("--not-before", help="refuse a version below this one")
    check.set_defaults(command=_verify)


def _package(options: argparse.Namespace) -> None:
    moment = options.approved_at or datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    key = read_private(options.key)
    target, digest = make(options.source, options.out, key, options.approver, moment)
    print(f"{target}: {digest}, signed by key {key_id(key.public_key())}")


def _verify(options: argparse.Namespace) -> None:
    approval, _ = verify(options.place, read_trusted(options.trust), options.name, options.not_before)
    print(
        f"{approval.name} {approval.version} {approval.digest}: approved by {approval.approver} at {approval.approved_at}"
    )
