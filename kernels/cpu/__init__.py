"""CPU kernels: plain loops compiled by Numba, one module per family of operations."""
