"""Models that SageMaker Neo compiled, run by DLR's library in a process of their own: its crash is not ours.

Only the library (libdlr.so) of the package `dlr` is used. Its Python part, which reports every load to its maker, is never imported.
"""
