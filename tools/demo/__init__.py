"""`make demo`: the whole line on this machine."""
