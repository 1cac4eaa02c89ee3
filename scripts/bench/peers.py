"""The peers: which module runs one, in which variant, under which environment; imports none of them."""

import importlib
import importlib.metadata
import os
from dataclasses import dataclass, field

# glibc gives large blocks back to the system and fetches them anew in every step unless it is told not to
_KEEP_MEMORY = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": "1000000000000", "MALLOC_TOP_PAD_": "67108864"}


@dataclass(frozen=True)
class Peer:
    """One way to run another library (or jitnet)."""

    module: str
    packages: tuple
    variant: str = ""
    environment: dict = field(default_factory=dict)

    def missing(self) -> str | None:
        """The first package that is not installed."""
        for package in self.packages:
            try:
                importlib.metadata.version(package)
            except importlib.metadata.PackageNotFoundError:
                return package
        return None

    def prepare(self, workload, threads: int) -> "Case":
        """The workload, ready to run in this process."""
        return importlib.import_module(self.module).prepare(workload, threads, self.variant)


PEERS = {
    "jitnet": Peer("peer_jitnet", ("jitnet",)),
    "jitnet-float32": Peer("peer_jitnet", ("jitnet",), "float32"),
    "jitnet-ordinary": Peer("peer_jitnet", ("jitnet",), "ordinary"),  # with inputs of ordinary size
    "torch": Peer("peer_torch", ("torch",), "eager", _KEEP_MEMORY),
    "torch-default-malloc": Peer("peer_torch", ("torch",), "eager"),
    "torch-compiled": Peer("peer_torch", ("torch",), "compiled", _KEEP_MEMORY),
    "torch-float64": Peer("peer_torch", ("torch",), "float64"),
    "jax": Peer("peer_jax", ("jax",), "step"),
    "jax-scan": Peer("peer_jax", ("jax",), "scan"),
    "jax-cached": Peer("peer_jax", ("jax",), "step"),
    "jax-uncached": Peer("peer_jax", ("jax",), "step"),
    "keras-jax": Peer("peer_keras", ("keras", "jax"), environment={"KERAS_BACKEND": "jax"}),  # fresh processes alone
    "onnxruntime": Peer("peer_onnx", ("onnxruntime", "onnx")),
    "openvino": Peer("peer_openvino", ("openvino", "onnx")),
    "sklearn": Peer("peer_sklearn", ("scikit-learn",)),
    "numpy": Peer("peer_numpy", ("numpy",)),
}


class Case:
    """A workload prepared by a peer."""

    form = ""  # what was chosen: the layout, the mode, ...

    def check(self, steps: int) -> list[float]:
        """The losses of the first steps over the data in their order, or outputs: what peers must agree on.

        Called once, before anything else is run.
        """
        raise NotImplementedError

    def tune(self) -> None:
        """Choose the fastest form; called once, after check."""

    def reset(self) -> None:
        """Back to the initial weights, so that no run trains so long that its numbers degenerate."""

    def gradients(self, batch: int) -> dict:
        """Gradients of the loss of a batch at the initial weights, by name, in jitnet's layouts."""
        raise NotImplementedError

    def run(self, count: int) -> int:
        """Run about ``count`` steps, at least one, and wait for them; returns how many were run."""
        raise NotImplementedError


def environment(peer: Peer, threads: int) -> dict:
    """The variables of a peer's process."""
    count = str(threads)
    variables = {name: count for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")}
    flags = f"--xla_cpu_multi_thread_eigen={'true' if threads > 1 else 'false'} intra_op_parallelism_threads={count}"
    # jitnet's modules may keep their bytecode as those of an installed package do
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**kept, **variables, "XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu", **peer.environment}
