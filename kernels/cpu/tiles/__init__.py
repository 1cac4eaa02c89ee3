"""Generators of vector code, which the kernels of ``fast`` are made of."""
