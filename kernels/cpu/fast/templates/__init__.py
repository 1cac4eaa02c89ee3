"""Templates of specialised kernels: see ``fast/template.py``."""
