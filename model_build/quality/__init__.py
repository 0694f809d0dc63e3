"""How good our net is on a data set, from raw pictures to INT8 on the device's runtime: what `make quality` runs and writes."""
