"""The names of the Greengrass components that others listen for."""

CAMERA = "com.linewatch.Camera"
AGENT = "com.linewatch.EdgeAgent"
INSPECTOR = "com.linewatch.Inspector"
