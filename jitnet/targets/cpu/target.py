"""The CPU as a target."""

from importlib.util import find_spec

from ...core.program import Call, Loop, Program
from ...core.rewrites.batch_norm import fold_batch_norm, fuse_batch_norm
from ...core.rewrites.copies import remove_copies
from ...core.rewrites.derivatives import save_derivatives
from ...core.rewrites.epilogues import FORWARD, fuse_epilogues
from ...core.rewrites.loops import simplify_loops
from ...core.rewrites.pointwise import fuse_pointwise
from ...core.storage import Layout
from ..base import Signature, Target
from ..hoisting import hoist
from .few_images import can_split
from .memory import aligned_zeros
from .run import StepRunner
from .schedule import Schedule
from .source import RESERVED, StepSource, StepWriter

# without the folder of specialised kernels, the reference runs everything
SPECIALISED = find_spec("jitnet.kernels.cpu.fast") is not None
if SPECIALISED:
    from .masks import mask_by_inputs
    from .pooled import fuse_pool_backward, fuse_pool_forward
    from .products import add_products, compute_in_update, split_products, split_products_of_few
    from .select import Scratch, is_specialised, specialise
    from .tables import sum_rows_in_update
    from .weight_gradients import share_large_gradients


class CPU(Target):
    """Generated steps over kernels that Numba compiles.

    algorithm: how convolutions are computed (see ``config.set_conv_algorithm``).
    few: whether steps are for few images, see ``few_images``.
    """

    name = "cpu"
    reserved = RESERVED

    def __init__(self, algorithm: str = "auto", few: bool = False):
        self.algorithm, self.few = algorithm, few

    def fuses(self, call: Call, epilogue: str) -> bool:
        if call.opcode == "conv.conv2d_backward_data" and epilogue == "bias" and call.attributes.get("bfloat16"):
            return False  # of transposed convolutions
        if epilogue == "bias_add":
            return call.opcode in FORWARD and not call.attributes.get("bfloat16")
        return is_specialised(call)

    def rewrite(self, program: Program) -> None:
        if not SPECIALISED:
            fuse_batch_norm(program)
            remove_copies(program)
            return
        if any(isinstance(block, Loop) for block in program.blocks):
            remove_copies(program)  # before what is copied gets a place for every turn
            simplify_loops(program, self.few)
        scratch = Scratch(program)
        fold_batch_norm(program, self.fuses)
        fuse_epilogues(program, self.fuses)
        fuse_batch_norm(program)
        fuse_pool_forward(program, scratch)
        fuse_pool_backward(program, scratch, self.algorithm)
        remove_copies(program)
        add_products(program)
        mask_by_inputs(program)
        save_derivatives(program)
        fuse_pointwise(program)
        few = self.few and can_split(program)
        specialise(program, scratch, self.algorithm, few)
        scratch.finish()
        compute_in_update(program)
        share_large_gradients(program)
        split_products(program)
        sum_rows_in_update(program)
        if few:
            split_products_of_few(program)
        hoist(program)

    def schedule(self, program: Program, layout: Layout, together: bool | None = True) -> Schedule:
        few = self.few and bool(together) and SPECIALISED and can_split(program)
        return Schedule(program, layout, together, few)

    def write(self, schedule: Schedule, signature: Signature) -> StepSource:
        return StepWriter(schedule, signature).source()

    def load(self, source: StepSource, fixed: dict, changes: dict) -> StepRunner:
        return StepRunner(source, fixed, changes)

    def zeros(self, count: int, dtype):
        return aligned_zeros(count, dtype)
