"""What a soak leaves on the disk."""

from pathlib import Path

from tools.soak import KEPT_FINDINGS, Run, tidied


def _run(root: Path, seed: int, problems: list[str]) -> Run:
    folder = root / str(seed)
    folder.mkdir()
    (folder / "ledger.db").write_bytes(b"rows")
    return Run("com.linewatch.Camera", seed, 7, {"pass": 200}, 0.1, problems, str(folder))


def test_only_the_last_runs_with_findings_leave_their_folder(tmp_path: Path) -> None:
    findings: list[Path] = []
    for seed in range(2 * KEPT_FINDINGS + 4):
        findings = tidied(findings, _run(tmp_path, seed, ["a part was lost"] if seed % 2 else []))
    odd = [str(seed) for seed in range(1, 2 * KEPT_FINDINGS + 4, 2)]
    assert [folder.name for folder in findings] == odd[-KEPT_FINDINGS:]
    assert sorted(folder.name for folder in tmp_path.iterdir()) == sorted(odd[-KEPT_FINDINGS:])
