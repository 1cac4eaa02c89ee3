"""Plain Python scalar functions, the single source of the pointwise arithmetic of every target."""
