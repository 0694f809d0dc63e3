"""What goes into an artefact and what does not."""

from pathlib import PurePosixPath

import pytest

from components.builder.trimming import is_kept


@pytest.mark.parametrize(
    "name",
    [
        "numpy/__init__.py",
        "numpy/testing/__init__.py",
        "numpy/_core/_multiarray_tests.cpython-311-x86_64-linux-gnu.so",
        "numpy.libs/libscipy_openblas64_-32a4b2a6.so",
        "numpy-2.4.6.dist-info/METADATA",
        "numpy-2.4.6.dist-info/licenses/LICENSE.txt",
        "botocore/data/s3/2006-03-01/service-2.json.gz",
        "botocore/data/sts/2011-06-15/service-2.json.gz",
        "botocore/data/endpoints.json",
        "botocore/data/_retry.json",
        "botocore/docs/docstring.py",
        "botocore/cacert.pem",
        "cv2/data/__init__.py",
        "cv2/config.py",
        "grpc/_cython/_credentials/roots.pem",
        "openvino/libs/libopenvino_intel_cpu_plugin.so",
        "openvino/tools/ovc/__init__.py",
        "testing_of_something/tests/data.py",
    ],
)
def test_kept(name: str) -> None:
    assert is_kept(PurePosixPath(name))


@pytest.mark.parametrize(
    "name",
    [
        "bin/f2py",
        ".lock",
        "numpy/__pycache__/x.cpython-311.pyc",
        "numpy/linalg/tests/test_linalg.py",
        "numpy/_core/include/numpy/arrayobject.h",
        "numpy/__init__.pyi",
        "numpy-2.4.6.dist-info/RECORD",
        "numpy-2.4.6.dist-info/INSTALLER",
        "numpy-2.4.6.dist-info/direct_url.json",
        "botocore/data/ec2/2016-11-15/service-2.json.gz",
        "boto3/data/ec2/2016-11-15/resources-1.json",
        "cv2/data/haarcascade_eye.xml",
        "openvino/include/openvino/c/openvino.h",
        "openvino_telemetry/__init__.py",
    ],
)
def test_left_out(name: str) -> None:
    assert not is_kept(PurePosixPath(name))
