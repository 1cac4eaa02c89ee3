"""Small programs by hand, and what they compute by the reference target, before and after a rewrite.

What rewrites note at calls, epilogues and chains, has its meaning here: as plain calls, and as Python.
"""

import copy
import functools
import zlib

import numpy as np

from jitnet.core.program import Buffer, Call, Out, Program
from jitnet.core.values import Variable
from jitnet.kernels.scalar import activations, arithmetic
from jitnet.kernels.scalar.broadcasting import canonical
from jitnet.targets.reference import Reference

BATCH = 3
GEOMETRY = {
    "stride_h": 1, "stride_w": 1, "pad_top": 1, "pad_left": 1, "dilation_h": 1, "dilation_w": 1, "groups": 1,
}  # fmt: skip


def values(name: str, shape, dtype="float32") -> np.ndarray:
    """Numbers that depend on the name alone; uint8: winners of windows of 2 x 2."""
    generator = np.random.default_rng(zlib.crc32(name.encode()))
    found = generator.integers(0, 4, shape) if dtype == "uint8" else generator.normal(size=shape)
    return found.astype(dtype)


class Sketch(Program):
    """A program whose buffers are made by name."""

    def given(self, name, *shape, dtype="float32") -> Buffer:
        """The caller's array: an input, or an output."""
        return Buffer(name, shape, dtype, "external")

    def batch(self, name, *shape) -> Buffer:
        return self.temporary(name, shape, "float32", "batch")

    def weight(self, name, *shape) -> Buffer:
        value = values(name, shape)
        return Buffer(name, shape, "float32", "variable", source=Variable(abs(value) if "variance" in name else value))

    def add(self, a: Buffer, b: Buffer, y: Buffer) -> None:
        self.call("elementwise.add_forward", a=a, b=b, y=Out(y), **same(a))

    def conv(self, x, kernel, y) -> Call:
        return self.call("conv.conv2d_forward", x=x, kernel=kernel, y=Out(y), **GEOMETRY)

    def bias(self, x, bias, y) -> Call:
        return self.call("dense.bias_add_forward", x=x, bias=bias, y=Out(y))

    def relu(self, x, y) -> Call:
        return self.call("elementwise.relu_forward", x=x, y=Out(y))

    def relu_backward(self, y, dy, dx, accumulate=False) -> Call:
        out = Out(dx, accumulate)
        return self.call("elementwise.relu_backward", y=y, dy=dy, dx=out, accumulate=accumulate)

    def dense(self, x, kernel, y) -> Call:
        return self.call("dense.dense_forward", x=x, kernel=kernel, y=Out(y))

    def put(self, x, y, place, places) -> Call:
        """Make a row the part ``place`` of ``places`` of another."""
        widths = {"x_width": x.size, "y_width": places * x.size}
        return self.call("shape.concatenate_forward", x=x, y=Out(y), offset=place * x.size, **widths)

    def copy(self, x, y) -> Call:
        """What keeps another rewrite from going on."""
        assert x.size == y.size  # no kernel looks
        return self.call("shape.copy_forward", x=x, y=Out(y))


def same(buffer: Buffer) -> dict:
    """The scalars of a binary operation on two arrays of the shape of ``buffer``."""
    shape, a_strides, b_strides = canonical(buffer.shape, True, buffer.shape, True)
    return {"shape": shape, "a_strides": a_strides, "b_strides": b_strides}


def opcodes(program: Program) -> list[str]:
    """Of all calls, with their epilogues."""
    names = [call.opcode.rpartition(".")[2] for call in program.calls]
    return [f"{n}+{c.epilogue}" if c.epilogue else n for n, c in zip(names, program.calls, strict=True)]


def unfolded(program: Program) -> Program:
    """The program with plain calls in the place of those with epilogues."""
    plain = Sketch()
    plain._names = program._names
    for block in program.blocks:
        plain.blocks.append(copy.copy(block))
        plain.blocks[-1].calls = []
        for call in block.calls:
            if call.epilogue:
                _unfold(plain, call)
            else:
                plain.blocks[-1].calls.append(call)
    return plain


def _unfold(plain: Sketch, call: Call) -> None:
    out = call.outputs[0].buffer
    own = {name: a for name, a in call.arguments.items() if name not in ("bias", "residual", "mask")}
    if call.epilogue == "relu_mask":
        before = plain.batch("before_the_mask", out.size).viewed(out.shape, out.rows)
        plain.call(call.opcode, **{n: Out(before) if isinstance(a, Out) else a for n, a in own.items()})
        plain.relu_backward(call["mask"].like(out), before, out)
        return
    parts = call.epilogue.split("_")
    assert parts in (["bias"], ["bias", "relu"], ["bias", "add"], ["bias", "add", "relu"])
    plain.call(call.opcode, **own)
    plain.bias(out, call["bias"], out)
    if "add" in parts:
        plain.add(out, call["residual"].like(out), out)
    if "relu" in parts:
        plain.relu(out, out)


class Interpreter(Reference):
    """The reference target, and chains of pointwise functions in Python."""

    def kernel(self, call):
        if "chain" not in call.attributes:
            return super().kernel(call)
        chain = call.attributes["chain"]
        assert tuple(call.arguments) == (*chain.arrays, *chain.singles, *chain.rows, *chain.scalars)
        return functools.partial(_run_chain, chain)


def _run_chain(chain, *arguments) -> None:
    scope = dict(zip((*chain.arrays, *chain.singles, *chain.rows, *chain.scalars), arguments, strict=True))
    scope |= {name: scope[name].reshape(-1) for name in chain.arrays}
    scope |= {name: scope[name].reshape(-1)[0] for name in chain.singles}
    scope |= {name: scope[name].reshape(-1) for name in chain.rows}
    for name in chain.functions:
        scope[name] = getattr(activations, name, None) or getattr(arithmetic, name)
    body = compile("\n".join(chain.statements), "a chain", "exec")
    (size,) = {scope[name].size for name in chain.arrays}
    for i in range(size):
        exec(body, scope, {"i": i, "j": i % scope[chain.rows[0]].size if chain.rows else 0})


def run(program: Program, **scalars) -> dict[str, np.ndarray]:
    """What the caller's arrays hold after a run, and the weights."""
    roots = list(dict.fromkeys(b.root for call in program.calls for b in call.buffers))
    arrays = {r.name: values(r.name, (BATCH, *r.shape), r.dtype) for r in roots if r.kind == "external"}
    weights = [r.source for r in roots if r.kind == "variable"]
    before = [w.numpy() for w in weights]
    Interpreter().run(unfolded(program), BATCH, arrays, scalars)
    arrays |= {r.name: r.source.numpy() for r in roots if r.kind == "variable"}
    for weight, value in zip(weights, before, strict=True):
        weight.assign(value)
    return arrays


def check(make, rewrite, expected: list[str], tolerance=0.0, **scalars) -> Program:
    """``rewrite`` makes of the program that ``make(sketch)`` writes the calls ``expected``, with the same results."""
    before, after = Sketch(), Sketch()
    make(before)
    make(after)
    rewrite(after)
    assert opcodes(after) == expected
    found, wanted = run(after, **scalars), run(before, **scalars)
    outputs = {o.buffer.root.name for call in before.calls for o in call.outputs if o.buffer.kind == "external"}
    assert outputs and outputs <= found.keys()
    for name in wanted.keys() & found.keys():
        assert np.isfinite(wanted[name]).all(), name
        np.testing.assert_allclose(found[name], wanted[name], rtol=tolerance, atol=tolerance, err_msg=name)
    return after


def unchanged(make, rewrite) -> None:
    """``rewrite`` leaves the program as it is."""
    before, after = Sketch(), Sketch()
    make(before)
    make(after)
    rewrite(after)
    assert opcodes(after) == opcodes(before)
    for one, two in zip(after.calls, before.calls, strict=True):
        assert [b.name for b in one.buffers] == [b.name for b in two.buffers]
