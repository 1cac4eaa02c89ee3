"""Products of matrices."""

from ..core.operations.dense import Matmul
from ._calls import apply, publisher

__all__ = ["dot"]
public = publisher(__all__)


@public
def matmul(x1, x2):
    """x1 (..., K) times a matrix x2 (K, N) without a batch axis."""
    return apply(Matmul(), x1, x2)


dot = matmul
