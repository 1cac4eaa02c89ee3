"""How two shapes meet under NumPy's broadcasting rule, in the one form that the binary kernels take."""

# trailing dimensions of the canonical form, after the leading one
RANK = 3


def canonical(a_shape, a_batched, b_shape, b_batched):
    """The broadcast of ``a`` and ``b`` as ``(shape, a_strides, b_strides)``.

    Args:
        a_shape, b_shape: shapes of one sample, without the batch dimension.
        a_batched, b_batched: whether the operand has a batch dimension before ``a_shape``.

    Returns:
        shape: the three trailing dimensions (d1, d2, d3) of the result; the leading one, d0, is the batch size, or 1
            if neither operand is batched.
        a_strides, b_strides: each operand's strides in elements over (d0, d1, d2, d3), 0 where it is repeated.

    Neighbouring dimensions that repeat the same operands become one, so nearly every pair of shapes fits.

    Raises:
        ValueError: the shapes do not broadcast, or need more than three dimensions after merging.
    """
    rank = max(len(a_shape), len(b_shape))
    a_padded = (1,) * (rank - len(a_shape)) + tuple(a_shape)
    b_padded = (1,) * (rank - len(b_shape)) + tuple(b_shape)

    groups = []  # [size, a is repeated, b is repeated], outermost first
    for a_size, b_size in zip(a_padded, b_padded, strict=True):
        if a_size != b_size and 1 not in (a_size, b_size):
            raise ValueError(
                "Shapes must be equal or 1 in every dimension, counted from the last, to be broadcast together. "
                f"Received: a_shape={tuple(a_shape)}, b_shape={tuple(b_shape)}"
            )
        size = b_size if a_size == 1 else a_size
        if size == 1:
            continue
        repeats = [a_size == 1, b_size == 1]
        if groups and groups[-1][1:] == repeats:
            groups[-1][0] *= size
        else:
            groups.append([size, *repeats])
    if len(groups) > RANK:
        raise ValueError(
            f"Broadcasting supports shapes that alternate between the operands at most {RANK} times. "
            f"Received: a_shape={tuple(a_shape)}, b_shape={tuple(b_shape)}"
        )
    groups = [[1, False, False]] * (RANK - len(groups)) + groups

    def strides(operand, batched):
        result, stride = [], 1
        for group in reversed(groups):
            repeated = group[1 + operand]
            result.insert(0, 0 if repeated else stride)
            stride *= 1 if repeated else group[0]
        return (stride if batched else 0, *result)

    shape = tuple(group[0] for group in groups)
    return shape, strides(0, a_batched), strides(1, b_batched)
