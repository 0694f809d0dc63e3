"""Each net's own plan. The reference's pair starts from scratch, so it learns twice as long as ours."""

from model_build.training.plan import Plan

PLANS = {
    "inspector": Plan(),
    "resnet18": Plan(epochs=20, fold_share=0.5, patience=6, batch=16, rate=1e-3, average=0.0),
    "unet": Plan(epochs=20, fold_share=0.5, patience=6, batch=16, average=0.0),
}
