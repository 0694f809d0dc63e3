"""The release job: a registered package, checked against what was approved, signed, built into a component version and uploaded.

It runs in the image of model_build/infrastructure/Dockerfile as a processing job: `python -m model_build.infrastructure.job --release ID`.
Nothing of the package is parsed before the archive's digest was found to be the registered one.
"""

import argparse
import contextlib
import hashlib
import os
import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from linewatch_common.approval import PACKAGE_FOLDER, SIGNATURE_FILE
from linewatch_common.errors import LinewatchError, PackageError, StorageError
from linewatch_common.files import write_atomically
from linewatch_common.manifest import MANIFEST_FILE, load_manifest, manifest_digest, verify_files

from components.builder.table import MODEL_PREFIX
from model_build.fleet.calls import Caller
from model_build.fleet.errors import ConflictError
from model_build.fleet.s3_store import S3Store
from model_build.fleet.store import StateStore
from model_build.infrastructure.records import Admitted, BuiltRecord, Failure, read, write
from model_build.infrastructure.signing import KmsKey, write_public
from model_build.packaging.envelope import approve, verify
from model_build.packaging.keys import id_of
from model_build.packaging.tarball import unpack
from model_build.pipelines.registered import RegisteredModel
from model_build.publishing.built import BuiltComponent, read_built
from model_build.publishing.upload import Uploader

MAX_ARCHIVE_BYTES = 2_000_000_000
_BLOCK = 1024 * 1024
# Where SageMaker looks for a line about a failed job.
MESSAGE_FILE = Path("/opt/ml/output/message")
# From OUT/<identifier> of a package, and its public key, to a build's folder of recipes and artefacts.
Build = Callable[[Path, Path, Path], None]


class ReleaseJob:
    """`releases` is where the records lie; `build` makes the component."""

    def __init__(self, *, s3: Any, key: KmsKey, releases: StateStore, bucket: str, call: Caller, build: Build) -> None:
        self._s3 = s3
        self._key = key
        self._releases = releases
        self._bucket = bucket
        self._call = call
        self._build = build

    def run(self, release: str, work: Path) -> BuiltRecord:
        """Raises PackageError when anything is not what was approved, InputError, FleetError, StorageError."""
        admitted = read(self._releases, release, "admitted.json", Admitted)
        place = work / "place"
        self._fetch(admitted.registered, work / "package.tar.gz")
        unpack(work / "package.tar.gz", place)
        check_package(place / PACKAGE_FOLDER, admitted.registered)
        self._sign(admitted, place)
        built = self._built(admitted.registered, place, work)
        uploader = Uploader(self._s3, self._bucket, self._call)
        for artifact in built.artifacts:
            uploader.upload(artifact)
        record = BuiltRecord(
            name=built.name,
            version=built.version,
            recipe=built.recipe.decode(),
            content=built.content,
            key=id_of(self._key.public()),
        )
        write(self._releases, release, "component.json", record)
        return record

    def _fetch(self, model: RegisteredModel, path: Path) -> None:
        """The archive, whose bytes are those that were registered."""
        bucket, _, key = model.package_uri.removeprefix("s3://").partition("/")
        answer = self._call(self._s3, "get_object", Bucket=bucket, Key=key)
        if answer["ContentLength"] > MAX_ARCHIVE_BYTES:
            raise PackageError(f"{model.package_uri}: is over {MAX_ARCHIVE_BYTES} bytes")
        digest = hashlib.sha256()
        try:
            with path.open("wb") as file:
                for block in answer["Body"].iter_chunks(_BLOCK):
                    digest.update(block)
                    file.write(block)
        except OSError as error:
            raise StorageError(f"{path}: {error.strerror}") from error
        if digest.hexdigest() != model.package_sha256:
            raise PackageError(
                f"{model.package_uri}: has the SHA-256 {digest.hexdigest()}, approved was {model.package_sha256}: it was changed since"
            )

    def _sign(self, admitted: Admitted, place: Path) -> None:
        """One signature for a release: a second try takes the first one's, so that it builds the same bytes. Nothing else is trusted."""
        approval = approve(place / PACKAGE_FOLDER, admitted.approver, admitted.approved_at)
        key = f"{admitted.release}/{SIGNATURE_FILE}"
        found = self._releases.read(key)
        if found is None:
            with contextlib.suppress(ConflictError):  # another try was faster; its signature counts
                self._releases.create(key, self._key.sign(approval))
            found = self._releases.read(key)
        if found is None:
            raise PackageError(f"{self._releases.address}{key}: the signature is gone")
        write_atomically(place / SIGNATURE_FILE, found[0], 0o644)
        stored, _ = verify(place, self._key.trusted())
        if stored != approval:
            raise PackageError(f"{self._releases.address}{key}: approves something else")

    def _built(self, model: RegisteredModel, place: Path, work: Path) -> BuiltComponent:
        write_public(self._key.public(), work / "key.pub")
        self._build(place, work / "key.pub", work / "out")
        (built,) = read_built(work / "out", self._bucket, [model.component])
        if (built.name, built.version) != (model.component, model.version):
            raise PackageError(f"built {built.name} {built.version}, approved was {model.component} {model.version}")
        return built


def check_package(folder: Path, model: RegisteredModel) -> None:
    """Raise PackageError unless the package in `folder` is, file by file, the registered one."""
    if not (folder / MANIFEST_FILE).is_file():
        raise PackageError(f"the archive holds no {PACKAGE_FOLDER}/{MANIFEST_FILE}")
    manifest = load_manifest(folder)
    verify_files(folder, manifest)
    found = (manifest.name, manifest.version, manifest_digest(folder), MODEL_PREFIX + manifest.name)
    for what, is_, registered in zip(
        ("model", "version", "digest", "component"),
        found,
        (model.model, model.version, model.manifest_digest, model.component),
        strict=True,
    ):
        if is_ != registered:
            raise PackageError(f"the package's {what} is {is_}, approved was {registered}")


def build_component(place: Path, public_key: Path, out: Path) -> None:
    """By the command that people use. Raises LinewatchError."""
    from model_build.__main__ import parsed  # noqa: PLC0415 - it knows every command, the job needs one

    options = parsed(["component", str(place), str(out), "--trust", str(public_key)])
    options.command(options)


def explained(job: ReleaseJob, releases: StateStore, release: str, work: Path, message: Path) -> int:
    """Run it; a refusal is kept beside the other records, and where SageMaker shows it. The process's exit code."""
    try:
        done = job.run(release, work)
    except LinewatchError as error:
        print(f"release {release}: {error}", file=sys.stderr)
        write(releases, release, "failure.json", Failure(reason=str(error)[:1000]))
        if message.parent.is_dir():
            message.write_text(str(error)[:1000])
        return 1
    print(f"release {release}: {done.name} {done.version} is signed by {done.key} and uploaded")
    return 0


def main() -> int:
    """Composition from the environment."""
    import boto3  # noqa: PLC0415 - tests hand their clients in

    parser = argparse.ArgumentParser(prog="python -m model_build.infrastructure.job", description=__doc__)
    parser.add_argument("--release", required=True, help="the release's name")
    options = parser.parse_args()
    call, s3 = Caller(), boto3.client("s3")
    releases = S3Store(s3, os.environ["LINEWATCH_FLEET_BUCKET"], "releases", call)
    key = KmsKey(boto3.client("kms"), os.environ["LINEWATCH_SIGNING_KEY"], call)
    bucket = os.environ["LINEWATCH_COMPONENT_BUCKET"]
    job = ReleaseJob(s3=s3, key=key, releases=releases, bucket=bucket, call=call, build=build_component)
    with TemporaryDirectory() as work:
        return explained(job, releases, options.release, Path(work), MESSAGE_FILE)


if __name__ == "__main__":
    sys.exit(main())
