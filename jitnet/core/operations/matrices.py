"""Products of many matrices."""

from ..program import Out
from .base import REFUSED, Operation, display


class MatrixProduct(Operation):
    """a (..., rows, depth) times b (..., depth, columns), matrix by matrix: (..., rows, columns).

    The axes before agree; one of both may have fewer of them, the last ones, without the batch axis.
    """

    integers = REFUSED

    def infer(self, a, b):
        leading, other = a.shape[:-2], b.shape[:-2]
        longest, shorter = (leading, other) if len(leading) >= len(other) else (other, leading)
        fits = (
            min(a.ndim, b.ndim) >= 2
            and a.shape[-1] == b.shape[-2]
            and None not in (a.shape[-1], a.shape[-2], b.shape[-1])
            and (longest == shorter or (shorter == longest[len(longest) - len(shorter) :] and None not in shorter))
        )
        if not fits:
            raise ValueError(
                "matrix_product expects shapes (..., rows, depth) and (..., depth, columns) that agree before these "
                f"axes. Received: shapes {display(a.shape)} and {display(b.shape)}"
            )
        return [((*longest, a.shape[-2], b.shape[-1]), a.dtype)]

    def _sizes(self, lowered) -> dict:
        a, b = lowered.application.inputs
        return {"rows": a.shape[-2], "depth": a.shape[-1], "columns": b.shape[-1]}

    def _work(self, lowered) -> int:
        return 2 * lowered.output.size * lowered.application.inputs[0].shape[-1]

    def forward(self, program, lowered):
        a, b = lowered.inputs
        y = Out(lowered.output)
        program.call("matrices.matmul_forward", a=a, b=b, y=y, **self._sizes(lowered), work=self._work(lowered))

    def backward(self, program, lowered):
        a, b = lowered.inputs
        sizes, work, dy = self._sizes(lowered), self._work(lowered), lowered.d_output
        if lowered.needs(1):
            db = lowered.gradient(1)
            accumulate = db.accumulate
            program.call("matrices.matmul_backward_b", a=a, dy=dy, db=db, **sizes, accumulate=accumulate, work=work)
        if lowered.needs(0):
            da = lowered.gradient(0)
            accumulate = da.accumulate
            program.call("matrices.matmul_backward_a", b=b, dy=dy, da=da, **sizes, accumulate=accumulate, work=work)
