"""Attention on blocks of queries and keys, for heads of one size: see ``tiles/attention.py``.

Lengths are run-time numbers.  Nothing depends on how the work is split.
"""

from dataclasses import dataclass

from jitnet.kernels.cpu.fast.template import TemplateKernel, parameters_of
from jitnet.kernels.cpu.runtime.vectors import VectorTarget, vector_target

# Measured with AVX-512 and heads of 64: blocks of keys and of scores that leave room in a second-level cache of 512 KB
_QUERIES = 64
_LARGEST = 256  # elements of a head
_PIECES = 8  # of a sample, by heads and groups of keys; each further group takes the memory of the queries once more


def _vectors(size: int, lanes: int, registers: int) -> tuple[int, int]:
    """Vectors that hold ``size`` elements, and how many of them a tile has."""
    count = -(-size // lanes)
    if count == 1:
        return 1, 1
    if count == 3 and registers >= 32:
        return 3, 3
    return count + count % 2, 2


@dataclass(frozen=True)
class AttentionKernel(TemplateKernel):
    """``kernel(...)`` with the arguments of its template, but for those of what it does without."""

    template: str
    size: int
    width: int
    causal: bool
    masked: bool
    biased: bool
    dropped: bool
    shared: bool
    target: VectorTarget
    dtype = "float32"

    @property
    def name(self) -> str:
        """Name of the kernel, as the step's source shows it."""
        flags = ("causal", "masked", "biased", "dropped", "shared")
        words = "".join(f"_{flag}" for flag in flags if getattr(self, flag))
        sizes = f"{self.size}" if self.size == self.width else f"{self.size}x{self.width}"
        return f"{self.template}_{sizes}{words}"

    @property
    def title(self) -> str:
        """What the kernel is for."""
        return f"Attention with heads of {self.size} and {self.width} elements"

    @property
    def unused(self) -> set[str]:
        """Parameters of the template's kernel that this one has not."""
        unused = set()
        if not self.masked:
            unused |= {"mask", "mask_strides"}
        if not self.biased:
            unused |= {"bias", "bias_strides"}
        if not self.masked and not self.biased:
            unused.add("mean")
        if not self.dropped:
            unused |= {"rate", "seed", "stream", "step", "sample"}
        if not self.shared:
            unused |= {"partials", "groups", "share", "first", "last"}
        return unused

    @property
    def parameters(self) -> list[str]:
        """Those of the kernel, in order."""
        return [name for name in parameters_of(self.template) if name not in self.unused]

    @property
    def _lanes(self) -> int:
        return self.target.lanes(self.dtype)

    @property
    def unit(self) -> int:
        """Queries that pass by a block of keys while it is in the cache."""
        return max(_QUERIES, min(8, 512 // max(self.size, self.width)) * _QUERIES)

    @property
    def keys(self) -> int:
        """Keys of a block."""
        return 256 if max(self.size, self.width) <= 64 else 128

    def groups(self, keys: int, key_heads: int) -> int:
        """In how many parts a backward pass does the keys of a head: few heads are to give many cores work."""
        return max(1, min(_PIECES // key_heads, -(-keys // self.keys)))

    def pieces(self, queries: int, heads: int, groups: int) -> int:
        """Of a sample, which several calls share; heads: backward those of keys."""
        return heads * (groups if self.template.endswith("backward") else -(-queries // self.unit))

    @property
    def workspace_elements(self) -> int:
        """What a call needs."""
        size, width = (
            _vectors(elements, self._lanes, self.target.registers)[0] * self._lanes
            for elements in (self.size, self.width)
        )
        keys = self.keys
        dropped = (keys + 4) * _QUERIES if self.dropped else 0
        if self.template.endswith("forward"):
            return self.unit * (size + width) + keys * (size + width + _QUERIES) + 3 * self.unit + 16 + dropped
        found = 2 * keys * (size + width) + 3 * _QUERIES * size + 2 * _QUERIES * width + keys * _QUERIES
        return found + 2 * _QUERIES + 16 + width + (dropped + keys * _QUERIES if self.dropped else 0)

    @property
    def constants(self) -> dict:
        """Values of the template's constants."""
        lanes, registers = self._lanes, self.target.registers
        size, size_tile = _vectors(self.size, lanes, registers)
        width, width_tile = _vectors(self.width, lanes, registers)
        return self.widest_vectors | dict(
            SIZE=self.size, WIDTH=self.width, SIZE_VECTORS=size, WIDTH_VECTORS=width, MR=8 if registers >= 32 else 4,
            VECTORS=2, SIZE_TILE=size_tile, WIDTH_TILE=width_tile, SOFTMAX=4, QUERIES=_QUERIES, KEYS=self.keys,
            UNIT=self.unit, CAUSAL=self.causal, MASKED=self.masked, BIASED=self.biased, DROPPED=self.dropped,
            SHARED=self.shared, WORKSPACE=self.workspace_elements if self.shared else 0,
        )  # fmt: skip


def attention_supports(dtype: str, size: int, width: int) -> bool:
    """Whether there are kernels for heads of these sizes."""
    return dtype == "float32" and max(size, width) <= _LARGEST


def attention_kernel(
    template, size, width, causal=False, masked=False, biased=False, dropped=False, shared=False, target=None
) -> AttentionKernel:
    """Attention forward or backward (``template``) with heads of ``size`` elements, and ``width`` of values."""
    return AttentionKernel(template, size, width, causal, masked, biased, dropped, shared, target or vector_target())
