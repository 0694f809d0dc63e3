"""The release job: a registered package, checked against what was approved, signed, built into a component version and uploaded.

It runs in the image of model_build/infrastructure/Dockerfile as a processing job: `python -m model_build.infrastructure.job --release ID`.
With `--source` it only lays out the approved model for Neo; with `--compiled URI` Neo's result takes the model's place, once it has
passed the gate that the approved one passed.
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

import msgspec
from linewatch_common.approval import PACKAGE_FOLDER, SIGNATURE_FILE
from linewatch_common.errors import LinewatchError, PackageError, StorageError
from linewatch_common.files import write_atomically
from linewatch_common.manifest import MANIFEST_FILE, Compiled, load_manifest, manifest_digest, verify_files

from components.builder.table import MODEL_PREFIX
from model_build.compiling.neo import library_of
from model_build.fleet.calls import Caller
from model_build.fleet.errors import ConflictError
from model_build.fleet.s3_store import S3Store
from model_build.fleet.store import StateStore
from model_build.infrastructure.compiling import FOLDER, SOURCE_FILE, CompileSource
from model_build.infrastructure.evaluating import CompiledEvaluation, Evaluate
from model_build.infrastructure.records import Admitted, BuiltRecord, CompiledVerdict, Failure, read, write
from model_build.infrastructure.signing import KmsKey, write_public
from model_build.packaging.draft import write_manifest
from model_build.packaging.envelope import approve, verify
from model_build.packaging.keys import id_of
from model_build.packaging.package import copy_files
from model_build.packaging.tarball import pack, unpack
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
    """`releases` is where the records lie; `build` makes the component, `evaluate` holds a compiled artefact against the gate."""

    def __init__(
        self,
        *,
        s3: Any,
        key: KmsKey,
        releases: StateStore,
        bucket: str,
        call: Caller,
        build: Build,
        evaluate: Evaluate,
    ) -> None:
        self._s3 = s3
        self._key = key
        self._releases = releases
        self._bucket = bucket
        self._call = call
        self._build = build
        self._evaluate = evaluate

    def source(self, release: str, work: Path) -> CompileSource:
        """Lay the approved model out for Neo, or say why not. Raises as `run`."""
        _, place = self._approved(release, work)
        manifest = load_manifest(place / PACKAGE_FOLDER)
        if manifest.format != "onnx":
            made = CompileSource(
                note=f"Neo compiles ONNX, the approved model is {manifest.format}: it goes on as it is"
            )
        else:
            folder, archive = work / "neo-input", work / "neo-input.tar.gz"
            copy_files(place / PACKAGE_FOLDER, folder, [manifest.model])
            pack(folder, archive)
            key = f"{release}/{FOLDER}/source.tar.gz"
            self._releases.write(key, archive.read_bytes())
            shapes = {tensor.name: list(tensor.shape) for tensor in manifest.inputs}
            made = CompileSource(uri=f"{self._releases.address}{key}", shapes=shapes)
        write(self._releases, release, SOURCE_FILE, made)
        return made

    def run(self, release: str, work: Path, compiled: str = "") -> BuiltRecord:
        """`compiled`: URI of Neo's result. Raises PackageError when anything is not what was approved, or when the gate refuses what was
        compiled since; InputError, FleetError, StorageError.
        """
        admitted, place = self._approved(release, work)
        if compiled:
            place = self._compiled(admitted, place, compiled, work)
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

    def _approved(self, release: str, work: Path) -> tuple[Admitted, Path]:
        """The approved package, unpacked and found to be the registered one."""
        admitted = read(self._releases, release, "admitted.json", Admitted)
        place, archive, model = work / "place", work / "package.tar.gz", admitted.registered
        digest = self._fetch(model.package_uri, archive)
        if digest != model.package_sha256:
            raise PackageError(
                f"{model.package_uri}: has the SHA-256 {digest}, approved was {model.package_sha256}: it was changed since"
            )
        unpack(archive, place)
        check_package(place / PACKAGE_FOLDER, model)
        return admitted, place

    def _compiled(self, admitted: Admitted, approved: Path, uri: str, work: Path) -> Path:
        """Neo's result in the approved model's place, judged before it is signed."""
        own = f"{self._releases.address}{admitted.release}/{FOLDER}/"
        if not uri.startswith(own):
            raise PackageError(f"{uri} is not below {own}, where this release's compilation writes")
        archive, result, place = work / "neo-output.tar.gz", work / "neo-output", work / "compiled"
        digest = self._fetch(uri, archive)
        unpack(archive, result)
        library = library_of(result, uri)
        refused = self._evaluate(result / library, admitted.registered, work / "evaluation")
        verdict = CompiledVerdict(artefact=uri, sha256=digest, refusals=refused)
        write(self._releases, admitted.release, "evaluation.json", verdict)
        if refused:
            raise PackageError(f"the gate refuses what Neo compiled: {'; '.join(refused)}")
        with_compiled(approved / PACKAGE_FOLDER, result, library, place / PACKAGE_FOLDER)
        return place

    def _fetch(self, uri: str, path: Path) -> str:
        """An archive's SHA-256."""
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        answer = self._call(self._s3, "get_object", Bucket=bucket, Key=key)
        if answer["ContentLength"] > MAX_ARCHIVE_BYTES:
            raise PackageError(f"{uri}: is over {MAX_ARCHIVE_BYTES} bytes")
        digest = hashlib.sha256()
        try:
            with path.open("wb") as file:
                for block in answer["Body"].iter_chunks(_BLOCK):
                    digest.update(block)
                    file.write(block)
        except OSError as error:
            raise StorageError(f"{path}: {error.strerror}") from error
        return digest.hexdigest()

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
    if not manifest.metrics:
        raise PackageError("the package has no metrics: nobody evaluated this model; evaluate it and register it again")
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


def with_compiled(approved: Path, result: Path, library: str, folder: Path) -> None:
    """The approved package with Neo's files in a folder of their own instead of the model. The same result gives the same bytes.

    The golden set stays the approved model's: the device proves that the compiled one answers as it did.
    """
    manifest = load_manifest(approved)
    kept = [name for name in (manifest.golden.file, manifest.preparation.ignore) if name is not None]
    copy_files(approved, folder, kept)
    copy_files(result, folder / FOLDER, sorted(path.name for path in result.iterdir()))
    made = Compiled(target=FOLDER, recipe=f"{FOLDER}, after the approval", source=manifest.files[manifest.model])
    fields = msgspec.to_builtins(manifest)
    fields["provenance"]["compiled"] = msgspec.to_builtins(made)
    write_manifest(folder, {**fields, "format": "neo", "model": f"{FOLDER}/{library}"})


def explained(job: ReleaseJob, releases: StateStore, options: argparse.Namespace, work: Path, message: Path) -> int:
    """Run it; a refusal is kept beside the other records, and where SageMaker shows it. The process's exit code."""
    release = options.release
    try:
        if options.source:
            laid = job.source(release, work)
            print(f"release {release}: {laid.uri or laid.note}")
            return 0
        done = job.run(release, work, options.compiled)
    except LinewatchError as error:
        print(f"release {release}: {error}", file=sys.stderr)
        write(releases, release, "failure.json", Failure(reason=str(error)[:1000]))
        if message.parent.is_dir():
            message.write_text(str(error)[:1000])
        return 1
    print(f"release {release}: {done.name} {done.version} is signed by {done.key} and uploaded")
    return 0


def arguments(words: list[str]) -> argparse.Namespace:
    """The job's options."""
    parser = argparse.ArgumentParser(prog="python -m model_build.infrastructure.job", description=__doc__)
    parser.add_argument("--release", required=True, help="the release's name")
    parser.add_argument("--source", action="store_true", help="lay the approved model out for Neo")
    parser.add_argument("--compiled", default="", metavar="URI", help="Neo's result, to be judged and built")
    return parser.parse_args(words)


def main(words: list[str]) -> int:
    """Composition from the environment."""
    import boto3  # noqa: PLC0415 - tests hand their clients in

    options = arguments(words)
    call, s3 = Caller(), boto3.client("s3")
    releases = S3Store(s3, os.environ["LINEWATCH_FLEET_BUCKET"], "releases", call)
    key = KmsKey(boto3.client("kms"), os.environ["LINEWATCH_SIGNING_KEY"], call)
    bucket = os.environ["LINEWATCH_COMPONENT_BUCKET"]
    evaluate = CompiledEvaluation(s3, call)
    job = ReleaseJob(
        s3=s3, key=key, releases=releases, bucket=bucket, call=call, build=build_component, evaluate=evaluate
    )
    with TemporaryDirectory() as work:
        return explained(job, releases, options, Path(work), MESSAGE_FILE)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
