"""Unpacks an artefact where the runtime has not, and starts the component's own code. Standard library only."""
