"""Offers, activation, restoring, withdrawal, retirement."""

import hashlib
import io
import json
import shutil
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from linewatch_agent.__main__ import build_core, trust_of
from linewatch_agent.active import ActiveFile
from linewatch_agent.backends.openvino_backend import OpenVinoBackend
from linewatch_agent.backends.port import Backend, Net
from linewatch_agent.config import AgentConfig
from linewatch_agent.folders import Format
from linewatch_agent.loading import ModelLoader
from linewatch_agent.metrics import Metrics
from linewatch_agent.packages import PackageStore
from linewatch_agent.proof import prove
from linewatch_agent.registry import ModelRegistry
from linewatch_agent.replaced import REPLACED_SECONDS
from linewatch_agent.roles import Roles, RoleSettings
from linewatch_agent.roots import ModelRoots
from linewatch_agent.tensors import Tensors
from linewatch_agent.trust import Trust
from linewatch_common.errors import PackageError
from linewatch_common.manifest import load_manifest
from linewatch_common.messages.models import ModelActivated, ModelProved, ModelRefused, ModelRetired

from tests.unit.agent.support import make_package, offer_of

PATIENCE = 1800.0


def _array() -> bytes:
    """A .npy in place of an .npz."""
    file = io.BytesIO()
    np.save(file, np.zeros(3))
    return file.getvalue()


NAME = "com.linewatch.EdgeAgent"


class Bench:
    """An agent's roles in `work`, with a clock of its own. Another Bench on the same folder is a restarted agent."""

    def __init__(
        self,
        work: Path,
        config: AgentConfig | None = None,
        *,
        backends: Mapping[Format, Backend] | None = None,
    ) -> None:
        config = config or AgentConfig()
        self.now = 1000.0
        self.work = work
        self.core = build_core(config, "d", work, ())
        loader = ModelLoader(backends or {}, trust_of(config, work))
        self.registry = ModelRegistry(loader, 10**9) if backends else self.core.registry
        self.roles = Roles(
            self.registry,
            PackageStore(work / "models", 100_000_000, trust_of(config, work)),
            ActiveFile(work / "active.json"),
            RoleSettings(component=NAME, root=work / "models", latency_budget_ms=5000, withdrawal_seconds=PATIENCE),
            self.core.counters,
            clock=lambda: self.now,
        )
        self.roles.restore()

    @property
    def loaded(self) -> list[str]:
        return [entry.name for entry in self.registry.all()]

    @property
    def serving(self) -> dict[str, str]:
        return {role: status.identifier for role, status in self.roles.statuses().items()}

    @property
    def copies(self) -> list[str]:
        return sorted(path.parent.parent.parent.name for path in (self.work / "models").rglob("manifest.json"))


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path / "work")


@pytest.fixture
def package(tmp_path: Path) -> Path:
    return make_package(tmp_path / "v1")


@pytest.fixture
def successor(tmp_path: Path) -> Path:
    return make_package(tmp_path / "v2", version="2.0.0")


def test_a_trial_proves_and_leaves_nothing(bench: Bench, package: Path) -> None:
    answer = bench.roles.answer(offer_of(package, trial=True))
    assert isinstance(answer, ModelProved)
    assert (answer.nonce, answer.golden_samples, answer.latency_ms > 0) == ("n1", 3, True)
    assert (bench.loaded, bench.serving, bench.copies) == ([], {}, [])


def test_an_offer_is_activated_from_our_own_copy(bench: Bench, package: Path) -> None:
    offer = offer_of(package)
    answer = bench.roles.answer(offer)
    assert answer == ModelActivated(
        identifier="Tiny-1-0-0", role="classifier", version="1.0.0", manifest_digest=offer.manifest_digest, nonce="n1"
    )
    status = bench.roles.statuses()["classifier"]
    assert status.folder.startswith(str(bench.work / "models" / "Tiny-1-0-0"))
    assert (bench.loaded, bench.core.registry.get("Tiny-1-0-0").role) == (["Tiny-1-0-0"], "classifier")
    assert bench.core.counters.snapshot()["models_activated"] == 1


def test_an_offer_of_what_is_active_is_answered_again_without_work(bench: Bench, package: Path) -> None:
    bench.roles.answer(offer_of(package))
    model = bench.core.registry.get("Tiny-1-0-0").model
    (package / "model.onnx").unlink()  # nothing is read
    answer = bench.roles.answer(offer_of(package, nonce="n2"))
    assert isinstance(answer, ModelActivated)
    assert (answer.nonce, answer.replaced) == ("n2", None)
    assert bench.core.registry.get("Tiny-1-0-0").model is model


def test_two_roles_are_served_at_once(bench: Bench, package: Path, tmp_path: Path) -> None:
    bench.roles.answer(offer_of(package))
    bench.roles.answer(offer_of(make_package(tmp_path / "s", name="Mask", role="segmenter")))
    assert bench.serving == {"classifier": "Tiny-1-0-0", "segmenter": "Mask-1-0-0"}


@pytest.mark.parametrize("trial", [True, False])
@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("digest", "'model.onnx' was changed"),
        ("missing", "golden.npz: No such file"),
        ("manifest", "its manifest has the digest"),
        ("identity", "offered as Tiny-9-9-9"),
        ("golden", "golden picture 1: output score"),
        ("gone", "No such file"),
    ],
)
def test_a_bad_package_is_refused_and_what_runs_is_not_touched(
    bench: Bench, package: Path, change: str, reason: str, trial: bool
) -> None:
    bench.roles.answer(offer_of(package))
    model, copies = bench.core.registry.get("Tiny-1-0-0").model, bench.copies
    bad = make_package(package.parent / "bad", version="2.0.0", golden_shift=0.1 if change == "golden" else 0.0)
    offer = offer_of(bad, trial=trial, nonce="n2", **({"identifier": "Tiny-9-9-9"} if change == "identity" else {}))
    _spoil(bad, change)
    answer = bench.roles.answer(offer)
    assert isinstance(answer, ModelRefused)
    assert reason in answer.reason
    assert (answer.nonce, "\n" in answer.reason) == ("n2", False)
    assert bench.core.registry.get("Tiny-1-0-0").model is model
    assert (bench.loaded, bench.serving, bench.copies) == (["Tiny-1-0-0"], {"classifier": "Tiny-1-0-0"}, copies)
    assert bench.core.counters.snapshot()["models_refused"] == 1


@pytest.mark.parametrize("trial", [True, False])
@pytest.mark.parametrize("golden", [b"", _array()], ids=["empty", "one array"])
def test_a_golden_set_that_is_none_is_refused_at_once(
    bench: Bench, package: Path, tmp_path: Path, golden: bytes, trial: bool
) -> None:
    """Whoever signed it: its digest is right. Without an answer the install would wait for a minute and not say why."""
    bench.roles.answer(offer_of(package))
    bad = make_package(tmp_path / "bad", version="2.0.0")
    (bad / "golden.npz").write_bytes(golden)
    manifest = json.loads((bad / "manifest.json").read_text())
    manifest["files"]["golden.npz"] = hashlib.sha256(golden).hexdigest()
    (bad / "manifest.json").write_text(json.dumps(manifest))
    answer = bench.roles.answer(offer_of(bad, trial=trial, nonce="n2"))
    assert isinstance(answer, ModelRefused)
    assert "golden.npz: " in answer.reason
    assert bench.serving == {"classifier": "Tiny-1-0-0"}


class _Unfit:
    """A runtime that raises what no adapter foresaw for the models in `folder`."""

    name = "unfit"

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._real = OpenVinoBackend()

    def load(self, path: Path) -> Net:
        if self._folder in str(path):
            raise ArithmeticError("no idea")
        return self._real.load(path)


def test_whatever_goes_wrong_in_a_proof_is_answered(bench: Bench, package: Path, successor: Path) -> None:
    bench.roles.answer(offer_of(package))
    again = Bench(bench.work, backends={Format.ONNX: _Unfit("Tiny-2-0-0")})
    answer = again.roles.answer(offer_of(successor, trial=True))
    assert isinstance(answer, ModelRefused)
    assert "ArithmeticError: no idea" in answer.reason
    assert again.serving == {"classifier": "Tiny-1-0-0"}


def test_whatever_goes_wrong_with_one_role_the_other_is_restored(bench: Bench, package: Path, tmp_path: Path) -> None:
    bench.roles.answer(offer_of(package))
    bench.roles.answer(offer_of(make_package(tmp_path / "s", name="Mask", role="segmenter")))
    again = Bench(bench.work, backends={Format.ONNX: _Unfit("Tiny-1-0-0")})
    assert again.serving == {"segmenter": "Mask-1-0-0"}
    assert "role classifier: Tiny-1-0-0 is not restored: ArithmeticError: no idea" in again.roles.problems()


def _spoil(package: Path, change: str) -> None:
    if change == "digest":
        (package / "model.onnx").write_bytes(b"changed")
    elif change == "missing":
        (package / "golden.npz").unlink()
    elif change == "manifest":
        manifest = json.loads((package / "manifest.json").read_text())
        (package / "manifest.json").write_text(json.dumps({**manifest, "labels": ["good", "bad"]}))
    elif change == "gone":
        for path in package.iterdir():
            path.unlink()


def test_a_slow_model_is_refused(tmp_path: Path, package: Path) -> None:
    bench = Bench(tmp_path / "work")
    settings = RoleSettings(component=NAME, root=bench.work / "models", latency_budget_ms=1e-9, withdrawal_seconds=1)
    store, file = PackageStore(settings.root, 10**8, Trust()), ActiveFile(bench.work / "active.json")
    roles = Roles(bench.core.registry, store, file, settings, bench.core.counters)
    answer = roles.answer(offer_of(package))
    assert isinstance(answer, ModelRefused)
    assert "GoldenLatencyBudgetMs" in answer.reason


def test_a_slow_model_is_refused_before_its_whole_golden_set_was_run(package: Path) -> None:
    """Of three pictures two over the budget settle it: an install waits for a minute, and must hear why."""
    net = OpenVinoBackend().load(package / "model.onnx")
    runs: list[Tensors] = []

    class Counted:
        inputs, outputs, outside_bytes, ended = net.inputs, net.outputs, 0, ""

        def predict(self, inputs: Tensors) -> Tensors:
            runs.append(inputs)
            return net.predict(inputs)

    with pytest.raises(PackageError, match="GoldenLatencyBudgetMs is 0"):
        prove(Counted(), package, load_manifest(package), 1e-9)
    assert len(runs) == 2
    assert prove(Counted(), package, load_manifest(package), 5000).samples == 3


def test_a_successor_replaces_and_the_old_goes_when_inspector_no_longer_names_it(
    bench: Bench, package: Path, successor: Path
) -> None:
    bench.roles.answer(offer_of(package))
    answer = bench.roles.answer(offer_of(successor))
    assert isinstance(answer, ModelActivated)
    assert answer.replaced == "Tiny-1-0-0"
    assert bench.loaded == ["Tiny-1-0-0", "Tiny-2-0-0"]
    assert bench.roles.retire_due(["Tiny-1-0-0"], bench.now + 1) == []  # still in use
    assert bench.roles.retire_due(["Tiny-2-0-0"], bench.now - 1) == []  # heard before the change
    [retired] = bench.roles.retire_due(["Tiny-2-0-0"], bench.now + 1)
    assert (retired.identifier, retired.by, retired.reason) == ("Tiny-1-0-0", NAME, "replaced by Tiny-2-0-0")
    assert (bench.loaded, bench.copies) == (["Tiny-2-0-0"], ["Tiny-2-0-0"])


def test_the_old_model_goes_after_a_minute_whoever_names_it(bench: Bench, package: Path, successor: Path) -> None:
    bench.roles.answer(offer_of(package))
    bench.roles.answer(offer_of(successor))
    bench.now += REPLACED_SECONDS + 1
    assert len(bench.roles.retire_due(["Tiny-1-0-0"], bench.now)) == 1


def test_a_rollback_brings_the_old_model_back(bench: Bench, package: Path, successor: Path) -> None:
    bench.roles.answer(offer_of(package))
    bench.roles.answer(offer_of(successor))
    bench.roles.answer(offer_of(package, nonce="n3"))
    bench.now += REPLACED_SECONDS + 1
    [retired] = bench.roles.retire_due(None, 0.0)
    assert retired.identifier == "Tiny-2-0-0"
    assert (bench.loaded, bench.serving, bench.copies) == (["Tiny-1-0-0"], {"classifier": "Tiny-1-0-0"}, ["Tiny-1-0-0"])


def test_a_rollback_over_a_change_of_role_leaves_nothing_of_the_newer_version(bench: Bench, package: Path) -> None:
    """Inspector prefers the role `inspector`: the line would go on with the version that was taken back."""
    bench.roles.answer(offer_of(package))
    both = make_package(package.parent / "both", version="2.0.0", role="inspector")
    bench.roles.answer(offer_of(both, nonce="n2"))
    assert bench.serving == {"inspector": "Tiny-2-0-0"}
    assert bench.loaded == ["Tiny-1-0-0", "Tiny-2-0-0"], "what Inspector still names is there"
    assert isinstance(bench.roles.answer(offer_of(package, nonce="n3")), ModelActivated)
    assert bench.serving == {"classifier": "Tiny-1-0-0"}
    [retired] = bench.roles.retire_due(["Tiny-1-0-0"], bench.now + 1)
    assert (retired.identifier, retired.role, retired.reason) == ("Tiny-2-0-0", "inspector", "replaced by Tiny-1-0-0")
    assert (bench.loaded, bench.copies) == (["Tiny-1-0-0"], ["Tiny-1-0-0"])
    assert Bench(bench.work).serving == {"classifier": "Tiny-1-0-0"}


def test_two_roles_that_an_older_agent_recorded_for_one_model_become_one_with_its_offer(
    bench: Bench, package: Path, tmp_path: Path
) -> None:
    bench.roles.answer(offer_of(package))
    other = Bench(tmp_path / "other")
    other.roles.answer(offer_of(make_package(tmp_path / "both", version="2.0.0", role="inspector")))
    shutil.copytree(other.work / "models" / "Tiny-2-0-0", bench.work / "models" / "Tiny-2-0-0")
    mine, theirs = (json.loads((each.work / "active.json").read_text()) for each in (bench, other))
    (bench.work / "active.json").write_text(json.dumps({**mine, "roles": mine["roles"] | theirs["roles"]}))
    again = Bench(bench.work)
    assert sorted(again.serving) == ["classifier", "inspector"]
    assert isinstance(again.roles.answer(offer_of(package)), ModelActivated)
    assert (again.serving, Bench(bench.work).serving) == ({"classifier": "Tiny-1-0-0"}, {"classifier": "Tiny-1-0-0"})


def test_the_same_version_with_another_content_replaces_itself(bench: Bench, package: Path, tmp_path: Path) -> None:
    bench.roles.answer(offer_of(package))
    model = bench.core.registry.get("Tiny-1-0-0").model
    rebuilt = offer_of(make_package(tmp_path / "again", changes={"metrics": {"f1": 0.5}}))
    answer = bench.roles.answer(rebuilt)
    assert isinstance(answer, ModelActivated)
    assert answer.replaced is None
    assert bench.core.registry.get("Tiny-1-0-0").model is not model
    bench.now += REPLACED_SECONDS + 1
    assert bench.roles.retire_due(None, 0.0) == []  # its name serves on
    assert (bench.loaded, bench.copies) == (["Tiny-1-0-0"], ["Tiny-1-0-0"])
    assert bench.roles.statuses()["classifier"].manifest_digest == rebuilt.manifest_digest


def test_a_restarted_agent_restores_from_its_copies_alone(bench: Bench, package: Path) -> None:
    bench.roles.answer(offer_of(package))
    for path in package.iterdir():
        path.unlink()
    again = Bench(bench.work)
    assert (again.serving, again.loaded, again.roles.problems()) == (bench.serving, ["Tiny-1-0-0"], "")


def test_a_broken_copy_is_not_restored_and_an_offer_repairs_it(bench: Bench, package: Path) -> None:
    bench.roles.answer(offer_of(package))
    copy = Path(bench.roles.statuses()["classifier"].folder)
    (copy / "model.onnx").write_bytes(b"cut by a power failure")
    again = Bench(bench.work)
    assert again.serving == {}
    assert "role classifier: Tiny-1-0-0 is not restored" in again.roles.problems()
    assert "model.onnx" in again.roles.problems()
    assert isinstance(again.roles.answer(offer_of(package)), ModelActivated)
    assert (again.serving, again.roles.problems()) == ({"classifier": "Tiny-1-0-0"}, "")
    assert Bench(bench.work).serving == {"classifier": "Tiny-1-0-0"}


def test_one_broken_copy_does_not_keep_the_other_role_away(bench: Bench, package: Path, tmp_path: Path) -> None:
    bench.roles.answer(offer_of(package))
    bench.roles.answer(offer_of(make_package(tmp_path / "s", name="Mask", role="segmenter")))
    (Path(bench.roles.statuses()["classifier"].folder) / "manifest.json").unlink()
    assert Bench(bench.work).serving == {"segmenter": "Mask-1-0-0"}


def test_a_model_that_cannot_be_restored_is_not_forgotten_when_another_role_changes(
    bench: Bench, package: Path, tmp_path: Path
) -> None:
    """A key that was left out by mistake, say: once it is back, so is the model, with or without its component."""
    bench.roles.answer(offer_of(package))
    model = Path(bench.roles.statuses()["classifier"].folder) / "model.onnx"
    good = model.read_bytes()
    model.write_bytes(b"not readable at the moment")
    again = Bench(bench.work)
    assert isinstance(
        again.roles.answer(offer_of(make_package(tmp_path / "s", name="Mask", role="segmenter"))), ModelActivated
    )
    model.write_bytes(good)
    assert Bench(bench.work).serving == {"classifier": "Tiny-1-0-0", "segmenter": "Mask-1-0-0"}


def test_a_successor_of_a_model_that_was_not_restored_takes_its_place(
    bench: Bench, package: Path, successor: Path
) -> None:
    bench.roles.answer(offer_of(package))
    (Path(bench.roles.statuses()["classifier"].folder) / "model.onnx").write_bytes(b"cut by a power failure")
    again = Bench(bench.work)
    again.roles.answer(offer_of(successor))
    last = Bench(bench.work)
    assert (last.serving, last.copies) == ({"classifier": "Tiny-2-0-0"}, ["Tiny-2-0-0"])


def test_a_trial_of_what_serves_repairs_its_copy(bench: Bench, package: Path) -> None:
    bench.roles.answer(offer_of(package))
    (Path(bench.roles.statuses()["classifier"].folder) / "golden.npz").write_bytes(b"a bad sector")
    assert isinstance(bench.roles.answer(offer_of(package, trial=True, nonce="n2")), ModelProved)
    assert Bench(bench.work).serving == {"classifier": "Tiny-1-0-0"}


@pytest.mark.parametrize("content", [b"", b"{", b'{"roles": 1}', b"\xff"])
def test_an_unreadable_record_leaves_the_roles_to_the_next_offers(bench: Bench, package: Path, content: bytes) -> None:
    bench.roles.answer(offer_of(package))
    (bench.work / "active.json").write_bytes(content)
    again = Bench(bench.work)
    assert again.serving == {}
    assert "no role is restored" in again.roles.problems()
    assert isinstance(again.roles.answer(offer_of(package)), ModelActivated)
    assert again.roles.problems() == ""


def test_left_overs_of_a_kill_are_swept(bench: Bench, package: Path) -> None:
    bench.roles.answer(offer_of(package))
    (bench.work / "models" / ".incoming-0123").mkdir()
    (bench.work / "models" / "Other-1-0-0" / "0123").mkdir(parents=True)
    Bench(bench.work)
    assert [path.name for path in (bench.work / "models").iterdir()] == ["Tiny-1-0-0"]


def _withdrawal(**changes: str) -> ModelRetired:
    fields = {"identifier": "Tiny-1-0-0", "role": "classifier", "by": "com.linewatch.model.Tiny", "reason": ""}
    return ModelRetired(**(fields | changes))


def test_a_withdrawn_model_stays_until_nobody_offered_it_for_long(bench: Bench, package: Path) -> None:
    bench.roles.answer(offer_of(package))
    bench.roles.withdrawn(_withdrawal())
    bench.now += PATIENCE - 1
    assert bench.roles.retire_due(None, 0.0) == []
    bench.now += 2
    [retired] = bench.roles.retire_due(None, 0.0)
    assert (retired.identifier, retired.reason) == ("Tiny-1-0-0", "withdrawn, and not offered again for 30 min")
    assert (bench.loaded, bench.serving, bench.copies) == ([], {}, [])
    assert Bench(bench.work).serving == {}


def test_a_new_offer_ends_a_withdrawal(bench: Bench, package: Path) -> None:
    bench.roles.answer(offer_of(package))
    bench.roles.withdrawn(_withdrawal())
    bench.roles.answer(offer_of(package, nonce="n2"))
    bench.now += PATIENCE + 1
    assert bench.roles.retire_due(None, 0.0) == []


@pytest.mark.parametrize("changes", [{"identifier": "Tiny-0-9-0"}, {"role": "segmenter"}, {"by": NAME}])
def test_other_withdrawals_do_not_count(bench: Bench, package: Path, changes: dict[str, str]) -> None:
    bench.roles.answer(offer_of(package))
    bench.roles.withdrawn(_withdrawal(**changes))
    bench.now += PATIENCE + 1
    assert bench.roles.retire_due(None, 0.0) == []


def test_a_restart_forgets_the_withdrawal_and_names_the_orphan(bench: Bench, package: Path) -> None:
    bench.roles.answer(offer_of(package))
    bench.roles.withdrawn(_withdrawal())
    again = Bench(bench.work)
    assert again.roles.orphaned() == []
    again.now += PATIENCE + 1
    assert again.roles.retire_due(None, 0.0) == []
    assert again.roles.orphaned() == ["Tiny-1-0-0"]
    again.roles.answer(offer_of(package))
    assert again.roles.orphaned() == []


def test_a_full_disk_refuses_the_offer_and_keeps_what_runs(bench: Bench, package: Path, successor: Path) -> None:
    bench.roles.answer(offer_of(package))
    (bench.work / "active.json").unlink()
    (bench.work / "active.json").mkdir()  # a rename onto it fails, as on a disk that refuses
    answer = bench.roles.answer(offer_of(successor))
    assert isinstance(answer, ModelRefused)
    assert "active.json: cannot write" in answer.reason
    assert (bench.loaded, bench.copies) == (["Tiny-1-0-0"], ["Tiny-1-0-0"])


def test_a_client_cannot_drop_a_roles_model(bench: Bench, package: Path) -> None:
    from linewatch_agent.dataplane import DataPlane
    from linewatch_agent.errors import UnknownModelError

    bench.roles.answer(offer_of(package))
    core = bench.core
    metrics = Metrics(core.counters, core.registry)
    plane = DataPlane(core.registry, core.captures, core.counters, metrics, ModelRoots(bench.work))
    with pytest.raises(UnknownModelError, match="serves the role 'classifier'"):
        plane.unload("Tiny-1-0-0")
