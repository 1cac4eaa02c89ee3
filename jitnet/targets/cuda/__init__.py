"""NVIDIA GPUs: a step is a row of kernel launches over one arena, recorded once and replayed."""
