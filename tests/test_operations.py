"""Every operation and every function of jitnet.ops: central differences, PyTorch, odd shapes and batches."""

import inspect

import numpy as np
import pytest
from operation_cases import suite

from jitnet import ops
from jitnet.core.operations import counts, decoding, effects, losses, normalization, recurrent, strided
from jitnet.core.operations.augmentation import WithoutGradient
from jitnet.core.operations.base import REGISTRY, Operation
from jitnet.core.operations.convolution import Pool2D, Windowed
from jitnet.core.operations.resize import Resize2D
from jitnet.core.trace import topological_order
from jitnet.core.values import SymbolicTensor, Variable
from jitnet.eager import vector_jacobian_product
from jitnet.ops import array_functions

BASES = {  # not operations by themselves
    Windowed, Pool2D, Resize2D, WithoutGradient, losses.RowLoss, counts._Counts, strided._Strided,
    normalization._OfSamples, recurrent._Recurrent,
}  # fmt: skip
DIFFERENTIABLE = [case for case in suite.cases if any(draw.wanted for draw in case.draws)]
AGAINST_TORCH = [case for case in suite.cases if case.torch is not None]


@pytest.mark.parametrize("batch", [1, 33])
@pytest.mark.parametrize("case", DIFFERENTIABLE, ids=repr)
def test_central_differences(case, batch):
    suite.check_differences(case, batch)


@pytest.mark.parametrize("batch", [1, 50])
@pytest.mark.parametrize("case", AGAINST_TORCH, ids=repr)
def test_torch(case, batch):
    suite.check_torch(pytest.importorskip("torch"), case, batch)


@pytest.mark.parametrize("case", suite.cases, ids=repr)
def test_an_empty_batch(case):
    found = suite.results(suite.group_of(case), "float32", 0)[2][case]
    assert found.output.shape[0] == 0
    for i, gradient in enumerate(found.gradients):
        assert gradient is None or (len(gradient) == 0 if i < len(case.inputs) else not gradient.any())


# ---- completeness

# functions that make arrays, or take nothing else: those of test_ops_arrays
WITHOUT_TENSORS = {
    "arange", "convert_to_numpy", "convert_to_tensor", "dtype", "empty", "eye", "identity", "is_tensor", "linspace",
    "logspace", "meshgrid", "ndim", "scatter", "scatter_update", "size", "tri", "allclose", "bartlett", "blackman",
    "ctc_decode", "ctc_loss", "geomspace", "hamming", "hanning", "isneginf", "isposinf", "kaiser", "map",
    "map_coordinates", "segment_max", "segment_min", "segment_prod", "signbit", "vander", "vectorized_map",
    *array_functions.__all__,
}  # fmt: skip
# what a caller's function or others in this table do: test_choices and test_ops_arrays compare them
OF_OTHERS = {
    "associative_scan", "cond", "copy", "diagflat", "dsplit", "dstack", "flipud", "fori_loop", "get_item", "hsplit",
    "switch", "vsplit", "while_loop",
}  # fmt: skip


def subclasses(cls):
    for subclass in cls.__subclasses__():
        yield subclass
        yield from subclasses(subclass)


def test_no_two_operations_have_one_name():
    with pytest.raises(TypeError, match=r"^jitnet and jitnet\.core\.operations\.strided both have .* Flip\.$"):
        type("Flip", (Operation,), {"__module__": "jitnet"})
    assert REGISTRY["Flip"] is strided.Flip


def test_every_operation_has_a_case():
    assert all(any(cls in base.__mro__[1:] for base in subclasses(Operation)) for cls in BASES)
    graphs = [suite.graphs(group, "float64") for group in suite.groups]
    used = {type(a.operation) for g in graphs for a in topological_order(g.outputs.values())}
    library = {cls for cls in subclasses(Operation) if cls.__module__.startswith("jitnet.")}
    # what has no value has no case, but the tests of train_step; what has no gradient those of its kernels
    library = {cls for cls in library if cls.__module__ not in (effects.__name__, decoding.__name__)}
    assert library - BASES - used == set()


def test_every_public_function_has_a_case():
    used = set()
    for case in suite.cases:
        code = getattr(case.function, "__code__", None)
        used |= {
            getattr(case.function, "__name__", None),
            type(case.function).__name__,
            *(code.co_names if code else ()),
        }
        used |= {c.co_name for c in (code.co_consts if code else ()) if hasattr(c, "co_name")}
        used |= {n for c in (code.co_consts if code else ()) if hasattr(c, "co_names") for n in c.co_names}
        used.add(case.name.split()[0])  # "max_pool 2x2": of functions chosen by name
    modules = {name for name in ops.__all__ if inspect.ismodule(getattr(ops, name))}
    functions = set(ops.__all__) - modules
    aliases = {name for name in functions if getattr(ops, name).__name__ != name}
    assert all(getattr(ops, name).__name__ in ops.__all__ for name in aliases)
    functions |= {name for module in modules for name in getattr(ops, module).__all__}
    assert functions - used - aliases - WITHOUT_TENSORS - OF_OTHERS == set()
    assert len(set(ops.__all__)) == len(ops.__all__)


# ---- on arrays


def test_functions_on_arrays():
    generator = np.random.default_rng(0)
    x, w = generator.standard_normal((3, 4)), generator.standard_normal((4, 2))
    np.testing.assert_allclose(ops.matmul(x, w), x @ w, rtol=1e-12)
    np.testing.assert_allclose(ops.subtract(x, x[0]), x - x[0], rtol=1e-12)
    np.testing.assert_allclose(ops.concatenate([x, x], axis=1), np.concatenate([x, x], axis=1))
    np.testing.assert_allclose(ops.tanh(0.5), np.tanh(0.5), rtol=1e-6)
    assert ops.relu(np.float32([[-1, 2]])).dtype == np.float32


def test_vector_jacobian_product():
    generator = np.random.default_rng(0)
    x, w, dy = (generator.standard_normal(shape) for shape in ((33, 4), (4, 2), (33, 2)))
    before = dy.copy()
    weight = Variable(w, name="w")
    y, (dx,), (dw,) = vector_jacobian_product(lambda x: ops.matmul(x, weight), [x], dy, [weight])
    for actual, expected in ((y, x @ w), (dx, dy @ w.T), (dw, x.T @ dy), (dy, before)):
        np.testing.assert_allclose(actual, expected, rtol=1e-12, atol=1e-14)


# ---- errors: before any kernel runs


def tensor(*shape, dtype="float32"):
    return SymbolicTensor((None, *shape), dtype, "x")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ops.conv(tensor(4), np.ones((1, 1, 4, 1))), "rank 4.*Received: shape=.None, 4. .rank 2"),
        (lambda: ops.conv(tensor(4, 4), np.ones((1, 1, 4, 1))), "as many axes.*Received: kernel of shape .1, 1, 4, 1"),
        (lambda: ops.conv(tensor(4, 2), np.ones((5, 2, 1))), "padded input of length 4.*shape=.None, 4, 2"),
        (lambda: ops.conv(tensor(4, 2), np.ones((2, 2, 1)), (1, 1)), "an integer from 1 up. Received: strides=.1, 1"),
        (lambda: ops.conv(tensor(4, 2), np.ones((2, 2, 1)), padding="full"), '"same".*Received: padding=.full'),
        (lambda: ops.conv(tensor(4, 4, 1), np.ones((1, 1, 1, 1)), data_format="channels_first"), "ops.conv takes"),
        (lambda: ops.conv_transpose(tensor(4, 2), np.ones((2, 2, 2)), 2, "causal"), "Received: padding=.causal"),
        (lambda: ops.conv_transpose(tensor(4, 2), np.ones((2, 2, 2)), 2, output_padding=2), "smaller than strides"),
        (lambda: ops.image.resize(tensor(4, 4), (2, 2)), "images .batch, height.*shape=.None, 4, 4"),
        (lambda: ops.image.resize(tensor(4, 4, 1), (2, 0)), "size"),
        (lambda: ops.image.resize(tensor(4, 4, 1), (2, 2), "bicubic"), "interpolation of resize .bicubic"),
        (lambda: ops.image.resize(tensor(4, 4, 1), (2, 2), antialias=True), "antialias=True"),
        (lambda: ops.max_pool(tensor(2, 1), 3), "padded input of length 2"),
        (lambda: ops.conv(tensor(4, 4, 3), np.ones((1, 1, 4, 1))), "4 input channels.*Received"),
        (lambda: ops.conv(tensor(4, 4, 2), np.ones((5, 1, 2, 1))), "larger than the padded.*height"),
        (lambda: ops.conv(tensor(4, 4, 2), np.ones((1, 3, 2, 1)), dilation_rate=2), "larger than the padded.*width"),
        (lambda: ops.conv(tensor(4, 4, 4), np.ones((1, 1, 2, 3))), "multiple of groups=2"),
        (lambda: ops.depthwise_conv(tensor(4, 4, 2), np.ones((1, 1, 3, 1))), "2, filters per channel.*Received"),
        (lambda: ops.depthwise_conv(tensor(4, 4, 2), np.ones((5, 1, 2, 1))), "larger than the padded.*height"),
        (lambda: ops.max_pool(tensor(2, 5, 1), 3), "larger than the padded input of size 2"),
        (lambda: ops.matmul(tensor(4), np.ones((3, 2))), "3 elements.*Received: shape=.None, 4"),
        (lambda: ops.matmul(tensor(4), tensor(4)), "without a batch axis"),
        (lambda: ops.bias_add(tensor(4), np.ones(3)), "bias of shape .4,"),
        (lambda: ops.add(tensor(4), tensor(3)), "cannot combine"),
        (lambda: ops.add(tensor(4), np.ones((5, 4))), "batch axis"),
        (lambda: ops.add(tensor(4), tensor(1, 4)), "same rank"),
        (lambda: ops.max(tensor(4), axis=0, keepdims=True), "batch axis"),
        (lambda: ops.prod(tensor(4), axis=None), "axis that is not the batch's"),
        (lambda: ops.softmax(tensor(4), axis=2), "axis from -2 to 1.*Received: axis=2"),
        (lambda: ops.reshape(tensor(4), (-1, 3)), "cannot turn"),
        (lambda: ops.reshape(tensor(4), (2, 2)), "starts with -1"),
        (lambda: ops.transpose(tensor(4, 3), (1, 0, 2))[:, 0], "stays whole"),
        (lambda: ops.concatenate([tensor(4, 3), tensor(5, 3)], -1), "agree in all axes but axis 2"),
        (lambda: ops.slice_axis(tensor(4), 1, 2, 5), "0 <= start < stop <= 4"),
        (lambda: ops.pad(tensor(4, 4, 1), ((1, 1), (0, 0), (0, 0), (0, 0))), "0, 0. for the batch"),
        (lambda: losses.SparseSoftmaxCrossEntropy()(tensor(4), tensor(4)), "targets of shape .None,"),
    ],
)
def test_errors(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_mixed_dtypes():
    with pytest.raises(TypeError, match="mixes float32 and float64"):
        ops.add(tensor(4), tensor(4, dtype="float64"))
    with pytest.raises(TypeError, match=r"numba\.njit"):
        ops.CustomOperation(lambda x, y: None)
    with pytest.raises(TypeError, match="cannot steer an `if`"):
        bool(tensor(4))
