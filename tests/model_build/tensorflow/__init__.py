"""Nets in Keras: how they learn, and every form that they are exported to."""
