"""ResNet18 in float32 as SageMaker Neo would have compiled it, run by DLR: in this process, and by our agent."""
