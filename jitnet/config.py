"""Global settings, under Keras's names."""

from .graph import floatx, set_floatx

__all__ = ["floatx", "set_floatx"]
