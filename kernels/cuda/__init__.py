"""CUDA kernels: the twins of ``kernels/cpu/*.py``, file by file and name by name; see ``_api``."""
