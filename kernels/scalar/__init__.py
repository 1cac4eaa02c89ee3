"""Plain Python scalar functions, the single source of the pointwise arithmetic of every target.

Their literals are written ``real(0.5)``.  A target compiles copies whose ``real`` is the type of the arithmetic, so
that float32 stays float32.  Called from Python it is ``float``, which leaves NumPy's scalars their type.
"""

real = float
