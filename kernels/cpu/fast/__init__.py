"""Specialised forms of the reference kernels; without this folder everything still runs."""
