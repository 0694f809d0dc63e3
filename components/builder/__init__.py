"""Makes greengrass-build/ from recipes, locked wheels and first-party code. Standard library only, `rich` when it is there."""
