"""The engine of written-out kernels."""
