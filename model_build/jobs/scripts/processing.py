"""What a processing container starts: unpack the source archive, install its locked requirements, run one step.

Needs nothing but Python, and lies alone beside the archive. LINEWATCH_PROCESSING_BASE stands for /opt/ml/processing.
"""

import os
import subprocess
import sys
import tarfile
from pathlib import Path


def main() -> None:
    """Does not return: the step replaces this process."""
    base = Path(os.environ.get("LINEWATCH_PROCESSING_BASE", "/opt/ml/processing"))
    source = base / "source"
    with tarfile.open(base / "input" / "source" / "source.tar.gz") as archive:
        archive.extractall(source, filter="data")
    os.chdir(source)
    os.environ["PYTHONPATH"] = str(source)
    subprocess.run([sys.executable, "-m", "model_build.jobs.scripts.requirements", str(source)], check=True)
    os.execv(sys.executable, [sys.executable, "-m", "model_build.jobs", *sys.argv[1:]])  # noqa: S606 - ours, no shell


if __name__ == "__main__":
    main()
