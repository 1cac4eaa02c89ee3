"""What stands around a step: how `fit`, `evaluate`, `predict` and their like run it."""
