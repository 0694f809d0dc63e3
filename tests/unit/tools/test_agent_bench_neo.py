"""The bench's rows of DLR: what machine they can be had on, and what the table says where they cannot."""

from pathlib import Path

import pytest
from linewatch_common.errors import UnavailableError

from tests.unit.tools.test_agent_bench import _rows
from tools.agent_bench import figures as f
from tools.agent_bench.neo import rows
from tools.agent_bench.neo.artefact import digest, made, processor_of
from tools.line.line import ROOT


@pytest.mark.parametrize(
    ("flags", "name"), [("fma avx avx2", "core-avx2"), ("avx avx2 avx512f avx512vl", "skylake-avx512")]
)
def test_the_processor_is_named_as_the_compiler_names_it(flags: str, name: str) -> None:
    assert processor_of(f"processor\t: 0\nflags\t\t: fpu {flags}\nbogomips\t: 1\n") == name


@pytest.mark.parametrize("cpuinfo", ["", "flags\t: fpu sse2 avx\n", "Features\t: fp asimd\n"])
def test_a_processor_that_it_is_not_compiled_for_is_said(cpuinfo: str) -> None:
    with pytest.raises(UnavailableError, match="AVX2"):
        processor_of(cpuinfo)


def test_another_processor_or_source_is_another_net(tmp_path: Path) -> None:
    source = tmp_path / "compiler.py"
    source.write_text("one")
    first = digest("core-avx2", [source])
    assert digest("core-avx2", [source]) == first != digest("skylake-avx512", [source])
    source.write_text("two")
    assert digest("core-avx2", [source]) != first


def test_a_machine_without_the_compiler_says_so(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match="python is not there: `make bench` installs"):
        made(tmp_path / "neo", "core-avx2", ROOT / ".venv-none/bin/python")


def test_the_table_says_why_a_row_is_missing() -> None:
    measured = _rows()
    figures = {"at": "today", "machine": "one", "runs": 3, "rows": measured, "missing": {"r18 DLR": "g++ is away"}}
    figures |= {"ratios": f.ratios(measured), "ratios_of_minima": f.ratios(measured, "min")}
    assert "| r18 DLR: not measured, g++ is away | | | |" in f.as_markdown(figures)


def test_dlr_is_compared_with_itself_in_process_and_with_openvino() -> None:
    measured = _rows(**{rows.OPENVINO: 20.0, rows.OPENVINO_AGENT: 22.0, rows.DLR: 30.0, rows.DLR_AGENT: 33.0})
    found = f.ratios(measured)
    assert (found["float32_bytes"], found["dlr_bytes"], found["dlr_over_openvino"]) == (1.1, 1.1, 1.5)
