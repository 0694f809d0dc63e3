"""A Greengrass core for a laptop and for CI: runs the bundle's real recipes and artefacts without AWS. See docs/localcore.md."""
