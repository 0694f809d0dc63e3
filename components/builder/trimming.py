"""What of a wheel is certainly useless on a device.

Licences and METADATA stay. Only what no import can miss goes: installers' records, command-line scripts, headers, type stubs,
test folders, example pictures' classifiers, the cloud services that nothing calls.
"""

from pathlib import PurePosixPath

_RECORDS = frozenset({"RECORD", "INSTALLER", "REQUESTED", "direct_url.json", "uv_cache.json", "uv_build.json"})
_SUFFIXES = frozenset({".pyc", ".pyi", ".pyx", ".pxd", ".h", ".hpp", ".a", ".cmake"})
_STARTS = (
    "bin/",
    "boto3/examples/",
    "cv2/data/haarcascade",
    "cv2/data/lbpcascade",
    "numpy/_core/include/",
    "openvino/cmake/",
    "openvino/include/",
    "openvino_telemetry/",  # sends usage data when it is there; OpenVINO has its own stand-in when it is not
)
# The agent talks to S3; STS is for credentials by an assumed role. The other four hundred services are 20 MB.
_CLOUD_SERVICES = frozenset({"s3", "sts"})


def is_kept(path: PurePosixPath) -> bool:
    """True when the file, named from the folder that the wheels were unpacked into, goes into the artefact."""
    if "__pycache__" in path.parts or path.parts[0].startswith(".") or path.suffix in _SUFFIXES:
        return False
    if path.parts[0].endswith(".dist-info") and path.name in _RECORDS:
        return False
    if path.parts[0] == "numpy" and "tests" in path.parts:
        return False
    if path.as_posix().startswith(_STARTS):
        return False
    return not _is_other_cloud_service(path)


def _is_other_cloud_service(path: PurePosixPath) -> bool:
    if path.parts[:2] not in {("boto3", "data"), ("botocore", "data")} or len(path.parts) < 4:
        return False
    return path.parts[2] not in _CLOUD_SERVICES
