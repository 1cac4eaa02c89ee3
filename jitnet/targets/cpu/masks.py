"""Which gradients a ReLU after a batch normalisation lets through, from what was normalised instead of the result."""

from ...core.program import Program

_KERNELS = {
    f"normalization.{name}": f"fast.normalization.{name}"
    for name in ("batch_norm_relu_backward_statistics", "batch_norm_relu_backward_data")
}
_ORDER = ("x", "dy", "mean", "rstd", "gamma", "beta", "dgamma", "dbeta", "dx", "count", "accumulate")  # the kernels'


def mask_by_inputs(program: Program) -> None:
    """Let these calls read an array less, where a call before them computed the result from the same numbers."""
    users = program.users()
    for call in program.calls:
        if call.opcode not in _KERNELS or call["x"].dtype != "float32":
            continue
        apply = users[call["y"].root][0]
        if apply.opcode != "normalization.batch_norm_relu_apply" or apply["y"].root is apply["x"].root:
            continue
        given = [(apply[name], call[name]) for name in ("x", "mean", "rstd")]
        if any(one.root is not other.root or one.step is not other.step for one, other in given):
            continue
        calls = program.calls
        between = calls[calls.index(apply) : calls.index(call)]
        numbers = {apply[name].root for name in ("x", "mean", "rstd", "gamma", "beta")}
        if any(not numbers.isdisjoint(other.writes) for other in between):
            continue
        known = {**call.arguments, "gamma": apply["gamma"], "beta": apply["beta"]}
        call.opcode, call.arguments = _KERNELS[call.opcode], {name: known[name] for name in _ORDER if name in known}
