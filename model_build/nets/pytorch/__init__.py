"""Nets in PyTorch and how they learn. Imported only where torch is installed."""
