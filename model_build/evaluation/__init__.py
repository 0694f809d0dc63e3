"""How good a model is, from a plain file of its predictions: figures with intervals, operating point, gate, report."""
