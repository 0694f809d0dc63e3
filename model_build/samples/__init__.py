"""The sample models: a generator of textured surfaces with defects, and the two compact nets trained on it."""
