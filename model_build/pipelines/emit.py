"""The process that imports the SageMaker SDK: `python -m model_build.pipelines.emit FOLDER REGION BUCKET ROLE DIGEST NAME...`."""

import sys
from pathlib import Path

from linewatch_common.errors import LinewatchError
from linewatch_common.files import write_atomically

from model_build.pipelines.definition import definition
from model_build.pipelines.plans import Place, plan_named


def main(arguments: list[str]) -> int:
    """0 when FOLDER/NAME.json was written for each."""
    folder, region, bucket, role, digest, *names = arguments
    place = Place(region, bucket, role)
    try:
        for name in names:
            text = definition(plan_named(name), place, digest)
            write_atomically(Path(folder) / f"{name}.json", text.encode(), 0o644)
    except LinewatchError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
