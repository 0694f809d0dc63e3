"""A tiny U-Net that finds bright defects: `python -m tests.model_build.sagemaker.keras_net DATA OUT` in `.venv-tensorflow`.

Writes OUT/weights.keras and OUT/model.onnx, for an input as large as the pictures of DATA.
"""

import sys
from dataclasses import fields
from pathlib import Path

import numpy as np

from model_build.data.prepared import PreparedSet
from model_build.nets.interface import NETS, Batch, Setup
from model_build.nets.learners import learner_for

STEPS, BATCH = 24, 6


def main(data_at: Path, out: Path) -> None:
    """Learn from all pictures: what is tested comes after training."""
    data = PreparedSet.open(data_at)
    examples = [data.example(name) for name in sorted(data.entries)]
    height, width = examples[0].picture.shape[:2]
    learner = learner_for(Setup(NETS["unet"], 1, width, height, 0, STEPS, rate=4e-3, weight_decay=0.0, average=0.0))
    pictures = np.stack([np.repeat(example.picture[:, :, None], 3, axis=2) for example in examples])
    batch = Batch(
        pictures=pictures,
        masks=np.stack([example.mask for example in examples]).astype(np.float32),
        counts=np.ones(pictures.shape[:3], np.float32),
        defective=np.array([example.entry.defective for example in examples], np.float32),
    )
    bad, good = np.flatnonzero(batch.defective), np.flatnonzero(batch.defective == 0)
    rng = np.random.default_rng(0)
    for _ in range(STEPS):
        chosen = np.concatenate([rng.choice(kind, BATCH // 2, replace=False) for kind in (bad, good)])
        learner.learn(Batch(*(getattr(batch, field.name)[chosen] for field in fields(Batch))))
    out.mkdir(parents=True)
    (out / "weights.keras").write_bytes(learner.weights())
    learner.export(out / "model.onnx")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
