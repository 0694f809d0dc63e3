"""Each net's own plan. The compact nets start from scratch and are small: more steps than ours, at a higher rate.

The reference's pair starts from scratch at 224 x 224, so it takes more, and cheaper, steps than ours. Its steps do not grow with the
data: they bound the time that the comparison takes.
"""

from model_build.training.plan import Augmentation, Plan

PLANS = {
    "inspector": Plan(),
    "compact-classifier": Plan(epochs=16, fold_share=0.5, batch=16, rate=3e-3, weight_decay=1e-2, pixels=224 * 224),
    # A mask grows surer for thousands of steps: a cut chosen on folds that learnt half as long is too low for the final model.
    "compact-segmenter": Plan(epochs=40, fold_share=1.0, patience=10, rate=3e-3, weight_decay=1e-2, pixels=64_512),
    # It counts what it is shown, so that one epoch is the whole course, and changed light or turned parts would be good to it, too.
    "anomaly": Plan(
        epochs=1,
        steps=96,
        fold_share=1.0,
        average=0.0,
        augmentation=Augmentation(angle=0.0, zoom=0.0, shift=0.0, contrast=0.05, brightness=0.02, noise=0.0),
    ),
    "resnet18": Plan(epochs=16, steps=32, fold_share=0.5, patience=6, batch=8, rate=1e-3, average=0.0),
    "unet": Plan(epochs=20, steps=24, fold_share=0.5, patience=6, batch=16, average=0.0),
}
