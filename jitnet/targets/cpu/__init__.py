"""Programs on the CPU: sections of a generated step over kernels that Numba compiles."""
