"""Operations: each knows its output shape, its forward kernel calls and, in terms of other calls, its gradient."""
