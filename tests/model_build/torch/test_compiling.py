"""Quantising, with a small net that is really trained here, by the quantisers themselves."""
# torch is not installed where the types are checked:
# mypy: disable-error-code="misc"

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from linewatch_common.errors import InputError
from torch import nn

from model_build.__main__ import main
from model_build.compiling.artefact import read_artefact
from model_build.compiling.pictures import Calibration, telling
from model_build.compiling.quantising.graph import edges, ends, heads, pools
from model_build.compiling.quantising.nncf_recipe import Nncf
from model_build.compiling.quantising.qdq import STAGES, Qdq
from model_build.compiling.running import open_model
from model_build.data.prepared import PreparedSet
from model_build.nets.interface import DEVIATION, MEAN, Setup, net_named
from model_build.nets.pytorch.export import export
from model_build.training.run import read_run
from tests.unit.model_build.runs import data_folder, run_folder

SIZE = 96, 64
SETUP = Setup(net_named("inspector"), 1, SIZE[0], SIZE[1], seed=0, steps=1, rate=0.1, weight_decay=0, average=0)


class Small(nn.Module):
    """Two heads like ours, a few hundred weights."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = nn.Sequential(
            nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU6(), nn.Conv2d(8, 8, 3, 1, 1), nn.ReLU()
        )
        self.last = nn.Conv2d(8, 1, 1)
        self.score = nn.Linear(2, 1)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Logits (N, 1) and (N, 1, H/2, W/2)."""
        mask = self.last(self.trunk(x))
        return self.score(torch.cat([mask.amax((2, 3)), mask.mean((2, 3))], 1)), mask


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A prepared set, and a finished run of a net that finds its bright squares."""
    folder = tmp_path_factory.mktemp("compiling")
    data = data_folder(folder)
    export(taught(PreparedSet.open(data)), SETUP, folder / "model.onnx")
    return data, run_folder(folder / "run", data, folder / "model.onnx", SIZE)


def taught(data: PreparedSet) -> nn.Module:
    torch.manual_seed(0)
    torch.set_num_threads(1)  # on a busy machine two wait for each other
    preparation = net_named("inspector").preparation([SIZE], SIZE[0] * SIZE[1])
    examples = [data.example(name) for name in sorted(data.entries)]
    pictures = np.concatenate([telling(example, preparation).tensor for example in examples])
    x = torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 255
    x = (x - torch.tensor(MEAN).view(1, 3, 1, 1)) / torch.tensor(DEVIATION).view(1, 3, 1, 1)
    masks = torch.stack([torch.from_numpy(example.mask[:, ::2, ::2]) for example in examples]).float()
    labels = masks.amax((2, 3))
    net = Small().train()
    course = torch.optim.Adam(net.parameters(), 0.05)
    loss = nn.BCEWithLogitsLoss()
    for _ in range(40):
        score, mask = net(x)
        total = loss(score, labels) + loss(mask, masks)
        course.zero_grad()
        total.backward()
        course.step()
    return net.eval()


@pytest.mark.parametrize("target", ["onnx-int8", "openvino-int8"])
def test_a_trained_net_is_compiled_within_tolerance(target: str, places: tuple[Path, Path], tmp_path: Path) -> None:
    data, run = places
    command = ["compile", str(run), str(tmp_path / "out"), "--data", str(data), "--target", target, "--calibrate", "8"]
    assert main(command) == 0
    made = read_artefact(tmp_path / "out")
    assert made.source.onnx == read_run(run).onnx
    assert made.calibration is not None
    assert made.comparison is not None
    assert made.comparison.image_ap is not None
    assert made.comparison.image_ap.floating > 0.9
    assert made.comparison.image_ap.loss <= 0.005
    assert made.comparison.score_difference < 0.1
    assert made.comparison.mask_difference is not None
    assert 0 < made.comparison.mask_difference < 0.01
    assert [one.recipe for one in made.tried if one.outcome == "taken"] == [made.recipe]
    if target == "onnx-int8":
        kinds = {node.op_type for node in onnx.load(tmp_path / "out" / made.model).graph.node}
        assert "QuantizeLinear" in kinds
    else:
        assert "nncf-performance" in {one.recipe for one in made.tried}


def test_the_same_pictures_give_the_same_bytes(places: tuple[Path, Path], tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        work = copied(places[1] / "model.onnx", tmp_path / f"work-{name}")
        Qdq("qdq-minmax").make(work, calibration(places), tmp_path / name)
    assert (tmp_path / "one/model.onnx").read_bytes() == (tmp_path / "two/model.onnx").read_bytes()


@pytest.mark.parametrize("recipe", [*(recipe for stage in STAGES for recipe in stage), Nncf("nncf-mixed", "mixed")])
def test_every_recipe_keeps_the_tensors(recipe: Qdq, places: tuple[Path, Path], tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    file = recipe.make(copied(places[1] / "model.onnx", tmp_path / "work"), calibration(places), tmp_path / "out")
    picture = next(calibration(places).tensors())
    ours, floating = open_model(tmp_path / "out" / file).run(picture), open_model(places[1] / "model.onnx").run(picture)
    assert {name: (array.shape, array.dtype) for name, array in ours.items()} == {
        name: (array.shape, array.dtype) for name, array in floating.items()
    }
    assert 0 < np.abs(ours["mask"] - floating["mask"]).mean() < 0.02


def test_what_stays_float_are_the_ends(places: tuple[Path, Path]) -> None:
    graph = onnx.load(places[1] / "model.onnx").graph
    convolutions = [node.name for node in graph.node if node.op_type == "Conv"]
    assert [name for name in convolutions if name in heads(graph)] == convolutions[-1:]
    assert [name for name in convolutions if name in edges(graph)] == [convolutions[0], convolutions[-1]]
    assert any(node.op_type == "Gemm" and node.name in heads(graph) for node in graph.node)
    assert ends(graph) == pools(graph) | {convolutions[0]}
    assert pools(graph) < heads(graph)
    assert pools(graph).isdisjoint(convolutions)
    assert all(node.name in pools(graph) for node in graph.node if node.op_type in ("Gemm", "ReduceMax", "ReduceMean"))


def test_a_model_that_cannot_be_quantised_is_one_line(places: tuple[Path, Path], tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"not a model" * 100)
    for recipe in (Qdq("qdq-minmax"), Nncf("nncf-performance", "performance")):
        with pytest.raises(InputError, match=r"cannot quantise it: [^\n]+$"):
            recipe.make(tmp_path / "model.onnx", calibration(places), tmp_path)


def test_what_the_runtime_refuses_while_it_calibrates_is_one_line(places: tuple[Path, Path], tmp_path: Path) -> None:
    model = onnx.load(places[1] / "model.onnx")
    next(node for node in model.graph.node if node.op_type == "Conv").domain = "somebody.elses"
    model.opset_import.append(onnx.helper.make_opsetid("somebody.elses", 1))
    (tmp_path / "model.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(InputError, match=r"cannot quantise it: [^\n]+$"):
        Qdq("qdq-minmax").make(tmp_path / "model.onnx", calibration(places), tmp_path)


def test_normalisation_in_the_graph_equals_numpys(tmp_path: Path) -> None:
    """Within 1e-5, by the device's runtime and options."""

    class Seen(nn.Module):
        """Gives back what the net sees, shrunk to lie in the middle of the sigmoid."""

        def forward(self, x: torch.Tensor) -> tuple[None, torch.Tensor]:
            """(N, 3, H, W) as it is."""
            return None, x

    setup = Setup(net_named("unet"), 3, 48, 32, seed=0, steps=1, rate=0.1, weight_decay=0, average=0)
    export(Seen(), setup, tmp_path / "model.onnx")
    picture = np.random.default_rng(0).integers(0, 256, (1, 32, 48, 3), dtype=np.uint8)
    found = open_model(tmp_path / "model.onnx").run(picture)["mask"][0]
    normalised = (picture[0].astype(np.float64) / 255 - MEAN) / DEVIATION
    wanted = 1 / (1 + np.exp(-normalised.transpose(2, 0, 1)))
    assert np.abs(found - wanted).max() < 1e-6  # the sigmoid's slope is above a tenth here: 1e-5 before it
    assert np.abs(np.log(found / (1 - found.astype(np.float64))) - normalised.transpose(2, 0, 1)).max() < 1e-5


def calibration(places: tuple[Path, Path]) -> Calibration:
    data = PreparedSet.open(places[0])
    return Calibration(data, read_run(places[1]).preparation, tuple(sorted(data.entries))[::3])


def copied(model: Path, folder: Path) -> Path:
    folder.mkdir()
    (folder / "model.onnx").write_bytes(model.read_bytes())
    return folder / "model.onnx"
