"""Training of any net: plan, folds, loop, checkpoints, the run's folder and its predictions. Free of any framework."""
