"""Each net's own plan. The reference's pair starts from scratch at 224 x 224, so it takes more, and cheaper, steps than ours.

Its steps do not grow with the data: they bound the time that the comparison takes.
"""

from model_build.training.plan import Plan

PLANS = {
    "inspector": Plan(),
    "resnet18": Plan(epochs=16, steps=32, fold_share=0.5, patience=6, batch=8, rate=1e-3, average=0.0),
    "unet": Plan(epochs=20, steps=24, fold_share=0.5, patience=6, batch=16, average=0.0),
}
