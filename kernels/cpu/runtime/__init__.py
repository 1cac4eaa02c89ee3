"""What compiles kernels, keeps them on disk and runs them in threads."""
