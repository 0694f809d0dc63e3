"""Built components to AWS: artefacts to S3, recipes to Greengrass, each version once and never over another."""
