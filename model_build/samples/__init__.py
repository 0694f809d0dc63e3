"""A generator of textured surfaces with defects: what the sample models learn from, and the demo's parts."""
