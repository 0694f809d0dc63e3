"""Each net's own plan. The reference's pair starts from scratch, so it learns three times as long as ours."""

from model_build.training.plan import Plan

PLANS = {
    "inspector": Plan(),
    "resnet18": Plan(epochs=30, fold_share=0.5, patience=8, batch=16, rate=1e-3, average=0.0),
    "unet": Plan(epochs=30, fold_share=0.5, patience=8, batch=16, average=0.0),
}
