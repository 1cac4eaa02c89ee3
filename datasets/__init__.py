"""Datasets with Keras's names and return shapes: ``jitnet.datasets.digits.load_data()`` and its siblings."""

if __name__ != "jitnet.datasets":
    raise ImportError("jitnet's datasets are imported as jitnet.datasets, not under the bare name 'datasets'")
