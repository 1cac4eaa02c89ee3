"""Global settings, under Keras's names where Keras has them."""

import contextlib
import os
import threading

from .core import policy as policies
from .core.errors import invalid, module_dir, module_getattr
from .core.policy import MIXED, floatx, set_floatx
from .kernels.cpu.runtime.threads import get_num_threads, set_num_threads
from .targets.cuda import devices

__all__ = [
    "backend", "conv_algorithm", "device", "dtype_policy", "epsilon", "float32_matmul_precision", "floatx",
    "get_num_threads", "image_data_format", "set_conv_algorithm", "set_device", "set_dtype_policy", "set_epsilon",
    "set_float32_matmul_precision", "set_floatx", "set_image_data_format", "set_num_threads",
]  # fmt: skip

_CONV_ALGORITHMS = ("auto", "direct", "winograd")
_conv_algorithm = "auto"
_PRECISIONS = ("highest", "high", "medium")
_precision = "highest"
_device: str | None = None  # of all threads; None: what the environment says
_devices = threading.local()  # of calls with a device of their own
_choices = object()  # another one after each choice of an algorithm or a device


def backend() -> str:
    """What computes: "jitnet"."""
    return "jitnet"


def epsilon() -> float:
    """The small number that Keras's defaults stand for: 1e-7, from which probabilities are kept away in logarithms."""
    return 1e-7


def set_epsilon(value: float) -> None:
    """Accepted for Keras's sake: value must be 1e-7, because losses and optimizers have arguments of their own."""
    if value != epsilon():
        raise invalid("Give epsilon to the layer, the loss or the optimizer: set_epsilon takes 1e-7 only.", value=value)


def image_data_format() -> str:
    """How images lie in memory: "channels_last", (batch, height, width, channels)."""
    return "channels_last"


def set_image_data_format(data_format: str) -> None:
    """Accepted for Keras's sake: data_format must be "channels_last", the order for which all kernels are written."""
    if data_format != "channels_last":
        raise invalid('Images are (batch, height, width, channels): "channels_last".', data_format=data_format)


def choices() -> object:
    """What stays the same object while nobody chooses another algorithm or device for all threads."""
    return _choices


def device() -> str:
    """Where models run: "cpu", or "cuda:0" for the first NVIDIA GPU; first what ``JITNET_DEVICE`` says, else "cpu"."""
    chosen = getattr(_devices, "chosen", None) or _device
    return chosen or devices.checked_name(os.environ.get("JITNET_DEVICE") or "cpu")


def set_device(name: str) -> None:
    """Let models run on the CPU ("cpu") or an NVIDIA GPU ("cuda", or among several "cuda:1") from now on.

    The numbers are the same but for rounding: a model, its optimizer and a saved file know no device.  Operations of
    ``jitnet.ops`` on arrays stay on the CPU.

    Raises:
        ValueError: another name.
        RuntimeError: the GPU can't be used; the message says why, and what to install.
    """
    global _choices, _device
    _device, _choices = devices.opened(name), object()


def float32_matmul_precision() -> str:
    """How a GPU multiplies float32: "highest" (default), "high" or "medium"."""
    return _precision


def set_float32_matmul_precision(precision: str) -> None:
    """Choose how dense layers and convolutions multiply float32 on a GPU from now on, as in PyTorch; sums are float32.

    precision:
      "highest"  float32: 24 bits of each factor
      "high"     TF32 on tensor cores: 11 bits (compute capability 8.0 on)
      "medium"   bfloat16 on tensor cores: 8 bits, which is what the policy "mixed_bfloat16" means there
    """
    global _precision
    if precision not in _PRECISIONS:
        raise invalid('set_float32_matmul_precision expects "highest", "high" or "medium".', precision=precision)
    _precision = precision


@contextlib.contextmanager
def using_device(name: str | None):
    """Within it models run on another device in this thread; None: on the same."""
    before = getattr(_devices, "chosen", None)
    _devices.chosen = before if name is None else devices.opened(name)
    try:
        yield
    finally:
        _devices.chosen = before


def dtype_policy() -> str:
    """The dtype policy of new layers: the name of their float type, or "mixed_bfloat16"."""
    return policies.policy()


def set_dtype_policy(policy: str) -> None:
    """Choose the dtype policy of layers built from now on.

    policy: "float32" or "float64", as ``set_floatx`` does; or "mixed_bfloat16", which needs a processor with AMX or
    AVX512-BF16: the operands of convolutions and dense layers, forward and backward, are rounded to bfloat16 where
    that was measured to be faster, and their products summed in float32.  Everything else stays float32: weights,
    gradients and the optimizer's state, and unlike in Keras what layers return, too.  So no loss scaling is needed.

    Raises ValueError for any other, and for "mixed_bfloat16" where the processor lacks it.
    """
    if policy is None:
        raise invalid('set_dtype_policy expects "float32", "float64" or "mixed_bfloat16".', policy=policy)
    check_policy(policy)
    policies.set_policy(policy)


def check_policy(policy) -> None:
    """Raise ValueError for a policy that there isn't (None is no choice), or that this machine lacks."""
    if policy == MIXED and device() == "cpu":
        from .kernels.cpu.runtime.vectors import bfloat16_target

        if bfloat16_target() is None:
            raise invalid(
                f"The policy {policy!r} needs a processor with AMX or AVX512-BF16 (Intel Xeon from the 4th generation "
                'on, AMD from Zen 4 on), which this one lacks. Use "float32".',
                policy=policy,
            )
    if policy == "bfloat16":
        raise invalid('Weights are float32 or float64. Use "mixed_bfloat16", with float32 weights.', policy=policy)
    if policy in ("mixed_float16", "float16"):
        raise invalid(f'The policy {policy!r} is for GPUs: jitnet computes in "float32" or "float64".', policy=policy)
    if policy not in (None, "float32", "float64", MIXED):
        raise invalid('A dtype policy is "float32", "float64" or "mixed_bfloat16".', policy=policy)


def conv_algorithm() -> str:
    """How convolutions are computed: "auto" (default), "direct" or "winograd"."""
    return _conv_algorithm


def set_conv_algorithm(algorithm: str) -> None:
    """Choose how convolutions of 3x3 without strides, dilation and groups are computed, from now on.

    algorithm:
      "auto"      Winograd's algorithm where it was measured to be faster, in float32 only
      "direct"    never Winograd's algorithm
      "winograd"  Winograd's algorithm wherever it is possible (Lavin & Gray 2016, arXiv 1509.09308)

    Winograd's F(4x4, 3x3) takes a quarter of the multiplications; in float32 its rounding error is about 1e-5 of the
    largest output, where that of a direct convolution is 1e-6.  It transforms the weights once per step, which pays for
    batches: predictions for single small images (8x8, say) are faster with "direct".  "auto" and "winograd" also use it
    along the rows of other convolutions with five columns of taps (forward, float32), at no cost in precision.
    """
    global _choices, _conv_algorithm
    if algorithm not in _CONV_ALGORITHMS:
        raise invalid('set_conv_algorithm expects "auto", "direct" or "winograd".', algorithm=algorithm)
    _conv_algorithm, _choices = algorithm, object()


__getattr__ = module_getattr(__name__, "setting")
__dir__ = module_dir(__name__)
