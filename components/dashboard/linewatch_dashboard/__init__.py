"""The web page of a line: the current picture with its mask, the verdict, what is loaded, and what was rejected."""
