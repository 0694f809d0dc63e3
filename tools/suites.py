"""`make test-model-build`: the tests that need an environment of their own, each folder with its Python; and the total of a CI run.

python -m tools.suites run torch=.venv-train/bin/python ...   runs tests/model_build/torch with that Python, and so on
python -m tools.suites total                                  adds up what `make test` and `run` left behind
"""

import argparse
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from collections import Counter
from pathlib import Path

RESULTS = Path("build/tests")
MAIN = "main"  # the suite of `make test`
_SUITE_S = 900  # all suites together take under 12 minutes: one that takes longer hangs
_KINDS = ("failed", "passed", "skipped", "errors")  # in the order in which pytest names them


def main(arguments: list[str] | None = None) -> int:
    """0 when every suite passed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    steps = parser.add_subparsers(dest="step", required=True)
    run = steps.add_parser("run")
    run.add_argument("suites", nargs="*", metavar="NAME=PYTHON")
    steps.add_parser("total")
    options = parser.parse_args(arguments)
    return _run(dict(text.split("=", 1) for text in options.suites)) if options.step == "run" else _total()


def _run(suites: dict[str, str]) -> int:
    RESULTS.mkdir(parents=True, exist_ok=True)
    for old in RESULTS.glob("*.xml"):
        if old.stem != MAIN:
            old.unlink()
    begun = time.monotonic()
    lines, bad = [], []
    for name, python in suites.items():
        print(f"== model_build: {name}", flush=True)
        result = RESULTS / f"{name}.xml"
        command = [python, "-m", "pytest", f"tests/model_build/{name}", f"--junit-xml={result.resolve()}"]
        if not _passes(command):
            bad.append(name)
        lines.append(f"{name}: {_words(counts(result)) if result.exists() else 'did not finish'}")
    verdict = f"FAILED in {', '.join(bad)}" if bad else "passed"
    print(
        f"model_build: {verdict} after {time.monotonic() - begun:.0f} s; {'; '.join(lines) or 'no tests'}", flush=True
    )
    return 1 if bad else 0


def _passes(command: list[str]) -> bool:
    try:
        return subprocess.run(command, check=False, timeout=_SUITE_S).returncode == 0
    except (subprocess.TimeoutExpired, OSError) as error:
        print(error, flush=True)
        return False


def _total() -> int:
    """The last line is in the form of pytest's summary; a suite that left no figures counts as an error."""
    seen: Counter[str] = Counter()
    for path in sorted(RESULTS.glob("*.xml")):
        figures = counts(path)
        print(f"{path.stem}: {_words(figures)}")
        seen += figures
    if not (RESULTS / f"{MAIN}.xml").exists():
        seen["errors"] += 1
    print(f" {_words(seen)} in all suites ".center(80, "="))
    return 1 if seen["failed"] or seen["errors"] else 0


def counts(path: Path) -> Counter[str]:
    """Figures of one suite's JUnit file, which pytest of this checkout wrote."""
    suite = next(ET.parse(path).getroot().iter("testsuite"))  # noqa: S314 - our own file
    number = {name: int(suite.get(name, "0")) for name in ("tests", "failures", "errors", "skipped")}
    passed = number["tests"] - number["failures"] - number["errors"] - number["skipped"]
    return Counter(failed=number["failures"], passed=passed, skipped=number["skipped"], errors=number["errors"])


def _words(figures: Counter[str]) -> str:
    return ", ".join(f"{figures[kind]} {kind}" for kind in _KINDS if figures[kind]) or "no tests ran"


if __name__ == "__main__":
    sys.exit(main())
