"""What the commands do: a run's folder, its training, and what can be asked of it afterwards."""

import contextlib
import itertools
import math
import os
import re
import shutil
import signal
import sys
from pathlib import Path

from jitnet import __version__, _recipes
from jitnet.kernels.literals import name as checked_name

CONFIG, HISTORY, WEIGHTS = "config.toml", "history.csv", "model.safetensors"


# ---- jitnet train


def train(options) -> int:
    """Train, save the run, print the accuracy on the test set."""
    config = _requested_config(options)

    import jitnet

    try:
        jitnet.set_device(config["device"])
    except RuntimeError as error:  # there is no such GPU
        raise ValueError(str(error)) from error
    _use_threads(config)
    jitnet.utils.set_random_seed(config["seed"])
    training, validation, test = _recipes.load_data(config)
    x = training[0]
    model = _recipes.build_model(config, x.shape[1:], len(x))
    folder = _new_folder(options.out, config)
    _prepare_folder(folder, config, model)

    print(f"{config['dataset']}: {len(x):,} training images, {len(test[0]):,} test images")
    model.summary()
    print(f"Run: {folder}", flush=True)
    with _Interruption() as interruption:
        interrupted = _fit(model, training, validation, config, folder, interruption)
        interruption.ignored = True
        model.save(folder / WEIGHTS)
    if interrupted:
        steps = model.optimizer.iterations
        print(f"Interrupted after {steps:,} steps; what was trained is in {folder / WEIGHTS}", file=sys.stderr)
        return 130
    _report(model, test)
    print(f"Saved: {folder}{os.sep} ({CONFIG}, {HISTORY}, {WEIGHTS})")
    return 0


def _requested_config(options) -> dict:
    """The configuration that the command line asks for, complete."""
    source = Path(options.source)
    if source.suffix == ".toml":
        given = _recipes.read_config(source)
    else:
        given = {"dataset": options.source}
    flags = {
        "model.name": options.model,
        "epochs": options.epochs,
        "batch_size": options.batch_size,
        "optimizer.name": options.optimizer,
        "optimizer.learning_rate": options.learning_rate,
        "seed": options.seed,
        "threads": options.threads,
        "device": options.device,
    }
    settings = {key: value for key, value in flags.items() if value is not None}
    settings.update(_recipes.parse_setting(text) for text in options.settings)
    return _recipes.resolve(given, settings)


def _use_threads(config: dict) -> None:
    import jitnet

    if config["threads"]:
        jitnet.set_num_threads(config["threads"])


def _new_folder(out: str | None, config: dict) -> Path:
    """The folder of a new run, created; no earlier run is ever overwritten."""
    if out is not None:
        folder = Path(out)
        if folder.is_dir() and any(folder.iterdir()):
            raise FileExistsError(f"{folder} is not empty: --out expects a new or an empty folder.")
        _make_folder(folder, exist_ok=True)
        return folder
    name = f"{config['dataset']}-{config['model']['name']}-seed{config['seed']}"
    _make_folder(Path("runs"), exist_ok=True)
    for number in itertools.count(1):
        folder = Path("runs") / (name if number == 1 else f"{name}-{number}")
        # mkdir itself is the test, so that two runs that start together get two folders
        with contextlib.suppress(FileExistsError):
            _make_folder(folder)
            return folder


def _make_folder(folder: Path, exist_ok: bool = False) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=exist_ok)
    except FileExistsError:
        if not exist_ok:
            raise
        raise NotADirectoryError(f"The run cannot be saved in {folder}: it is a file.") from None
    except OSError as error:
        raise OSError(f"The run cannot be saved in {folder}: {error.strerror}.") from error


def _prepare_folder(folder: Path, config: dict, model) -> None:
    """Write the configuration, and see that there is room for the rest, before any time goes into training."""
    import numpy as np

    versions = f"jitnet {__version__}, NumPy {np.__version__}, Python {sys.version.split()[0]}"
    header = f"# Written by {versions}.\n# Repeat this run: jitnet train {CONFIG}\n\n"
    try:
        (folder / CONFIG).write_text(header + _recipes.to_toml(config), encoding="utf-8")
        # weights, and as much twice again for an optimizer's state
        needed = 3 * sum(weight.nbytes for weight in model.get_weights())
        probe = folder / f".{WEIGHTS}.probe"
        try:
            with probe.open("wb") as file:
                file.write(bytes(needed))
                file.flush()
                os.fsync(file.fileno())
        finally:
            probe.unlink(missing_ok=True)
    except OSError as error:
        # nothing was trained: leave nothing behind
        shutil.rmtree(folder, ignore_errors=True)
        raise OSError(f"The run cannot be saved in {folder}: {error.strerror or error}.") from error


def _fit(model, training, validation, config: dict, folder: Path, interruption) -> bool:
    """Train; returns whether Ctrl-C ended it."""
    from jitnet.callbacks import CSVLogger, ProgbarLogger

    class Progress(ProgbarLogger):
        """The progress bar, and the place between two steps where a run can be stopped."""

        def update(self, step, logs=None):
            super().update(step, logs)
            if interruption.requested:
                raise KeyboardInterrupt

    try:
        model.fit(
            *training,
            batch_size=config["batch_size"],
            epochs=config["epochs"],
            validation_data=validation,
            callbacks=[Progress(), CSVLogger(folder / HISTORY)],
        )
    except KeyboardInterrupt:
        return True
    return False


class _Interruption:
    """While a run is on, Ctrl-C (SIGINT) asks it to stop after the step; a second Ctrl-C stops it at once."""

    def __init__(self):
        self.requested = False
        self.ignored = False  # once the run is being saved
        self._previous = None

    def __enter__(self):
        # only a main thread has signals; elsewhere KeyboardInterrupt can't arrive anyway
        with contextlib.suppress(ValueError):
            self._previous = signal.signal(signal.SIGINT, self._handle)
        return self

    def _handle(self, number, frame):
        if self.ignored:
            return
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True
        # the first step may have to wait for compilation; print is not safe in a signal's handler
        os.write(2, b"\nStopping after this step; Ctrl-C again stops at once.\n")

    def __exit__(self, *exception):
        if self._previous is not None:
            signal.signal(signal.SIGINT, self._previous)


def _report(model, test) -> None:
    x, y = test
    loss, accuracy = model.evaluate(x, y, batch_size=256, verbose=0)
    print(f"Test accuracy: {100 * accuracy:.2f} % ({round(accuracy * len(x)):,} of {len(x):,}), loss: {loss:.4f}")


# ---- jitnet evaluate, jitnet predict


def evaluate(options) -> int:
    """Print loss and accuracy of a run's model on its dataset's test set."""
    config, model = _load(options.run)
    if model.optimizer is None or len(model._record_names()) != 2:
        raise ValueError(f"{Path(options.run) / WEIGHTS} was not compiled with one loss and the accuracy.")
    _, _, test = _recipes.load_data({**config, "shift": False})
    _report(model, test)
    return 0


def predict(options) -> int:
    """Print labels, or write probabilities."""
    config, model = _load(options.run)
    images = _read_images(Path(options.file), config["dataset"], model.input_shape[1:])
    probabilities = model.predict(images, batch_size=256, verbose=0)
    if options.out is None:
        print("\n".join(str(label) for label in probabilities.argmax(axis=1)))
        return 0

    import numpy as np

    out = Path(options.out)
    # through a file object: numpy.save would add a suffix to the name
    with out.open("wb") as file:
        np.save(file, probabilities)
    print(f"Saved: {out} {probabilities.shape}")
    return 0


def _load(run: str):
    """(configuration, model) of a run."""
    import jitnet

    folder = Path(run)
    for name in (CONFIG, WEIGHTS):
        if not (folder / name).is_file():
            raise FileNotFoundError(f"{folder} is no folder of a finished run: it has no {name}.")
    config = _recipes.resolve(_recipes.read_config(folder / CONFIG), {})
    _use_threads(config)
    model = jitnet.load_model(folder / WEIGHTS)
    expected = (None, *_recipes.IMAGE_SHAPES[config["dataset"]]), (None, 10)
    if model._graph_inputs is None or (model.input_shape, model.output_shape) != expected:
        raise ValueError(
            f"{folder / WEIGHTS} must be a model from shape {expected[0]} to {expected[1]}, as {config['dataset']} "
            f"needs it. Received: {model!r}"
        )
    return config, model


def _read_images(path: Path, dataset: str, expected: tuple):
    """The images in a .npy file, as the model takes them."""
    import numpy as np

    images = _read_npy(path)
    if images.shape in (expected, expected[:2]):
        images = images[None]
    # a grey image may come without the axis of its one channel
    if images.shape[1:] != expected and (*images.shape[1:], 1) != expected:
        shape = ", ".join(str(length) for length in expected)
        raise ValueError(f"{path} must hold images of shape (N, {shape}), or one. Received: shape={images.shape}")
    if not len(images):
        raise ValueError(f"{path} holds no images. Received: shape={images.shape}")
    # NaN is left to the model's own check, which says where it is
    with np.errstate(invalid="ignore"):
        low, high = np.fmin.reduce(images, axis=None), np.fmax.reduce(images, axis=None)
    if low < 0 or high > _recipes.largest_pixel(dataset):
        raise ValueError(
            f"{path} must hold pixel values from 0 to {_recipes.largest_pixel(dataset)}, as {dataset} has them. "
            f"Received: values from {low} to {high}"
        )
    return _recipes.scaled(images, dataset)


def _read_npy(path: Path):
    """The array of numbers in a .npy file.

    Raises OSError if the file cannot be read, ValueError if it is anything else than one whole array of numbers.  Its
    header is compared with the file's size before any memory is asked for.
    """
    import warnings

    import numpy as np

    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    with path.open("rb") as file:
        try:
            version = np.lib.format.read_magic(file)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of the parser, about headers of Python 2 and odd escapes
                shape, fortran_order, dtype = readers[version](file)
        except OSError:
            raise
        except Exception as error:
            # the header is a Python literal, and its parser raises whatever a Python parser can
            raise ValueError(f"{path} is not a .npy file of numbers: {error or type(error).__name__}") from None
        if dtype.kind not in "buif":
            raise ValueError(f"{path} is not a .npy file of numbers: expected one array of numbers. Received: {dtype}")
        found = os.fstat(file.fileno()).st_size - file.tell()
        if any(isinstance(size, bool) or size < 0 for size in shape) or len(shape) > 32:
            raise ValueError(f"{path} is not a .npy file of numbers. Received: shape={shape}")
        needed = math.prod(shape) * dtype.itemsize
        if needed != found:
            problem = "truncated" if found < needed else "bytes after the array"
            raise ValueError(
                f"{path} is damaged: {problem}, {dtype} of shape {shape} takes {needed} bytes. Received: {found}"
            )
        values = np.frombuffer(file.read(), dtype)
    return values.reshape(shape, order="F" if fortran_order else "C")


# ---- jitnet info


def info(options) -> int:
    """Print what jitnet runs on."""
    import platform
    from importlib.metadata import version

    from jitnet._cache import cache_directory
    from jitnet.kernels.cpu.runtime import native, processor, threads
    from jitnet.kernels.cpu.runtime.vectors import bfloat16_target
    from jitnet.targets.cuda import devices

    packages = ", ".join(f"{name} {version(name)}" for name in ("numpy", "numba", "llvmlite", "safetensors"))
    vectors = [name for name in _VECTOR_FEATURES if processor.has(name)]
    target = bfloat16_target()
    lines = {
        "jitnet": f"{__version__} in {Path(__file__).parent}",
        "Python": f"{platform.python_version()} on {platform.platform()}",
        "packages": packages,
        "CPU": f"{processor.name()}, {_cores(threads.usable_cores())}",
        "vector features": ", ".join(vectors) or "none that jitnet knows",
        "compiler": _COMPILERS[native.compiler()],
        "threads": f"{threads.get_num_threads()} of jitnet's own pool",
        "mixed_bfloat16": f"with {target.name}" if target else "no: neither AMX nor AVX512-BF16",
        "cache": str(cache_directory()),
        "data": os.environ.get("JITNET_DATA_DIR") or "JITNET_DATA_DIR is not set",
        "CUDA": devices.description(),
    }
    for name, value in lines.items():
        print(f"{name + ':':<17}{value}")
    return 0


# ---- jitnet inspect


def inspect(options) -> int:
    """Print a kernel: its Python, LLVM's intermediate code or the machine's instructions."""
    from importlib import import_module

    from jitnet.kernels.compiler import TranslationError, machine, translate
    from jitnet.kernels.cpu.runtime import processor
    from jitnet.kernels.cpu.runtime.jit import Function, kernel_source

    family, _, name = options.kernel.rpartition(".")
    try:
        kernel = getattr(import_module(f"jitnet.kernels.cpu.{checked_name(family)}"), checked_name(name))
    except (ImportError, AttributeError, ValueError):
        kernel = None
    if not isinstance(kernel, Function):
        raise ValueError(
            "A kernel is named by its file in kernels/cpu and its function, dense.dense_forward say. "
            f"Received: {options.kernel!r}"
        )
    if not (options.llvm or options.asm):
        print(kernel_source(kernel), end="")
        return 0
    parameters = kernel.py_func.__code__.co_varnames[: kernel.py_func.__code__.co_argcount]
    if len(options.types) != len(parameters):
        raise ValueError(
            f"{options.kernel} takes {', '.join(parameters)}: give the type of each, float32[:,:] for an array with "
            f"two axes, int64, float64 or bool for a number. Received: {' '.join(options.types) or 'no types'}"
        )
    try:
        translation, target = translate(kernel, tuple(map(_kernel_type, options.types))), processor.machine()
    except TranslationError as error:
        raise ValueError(f"{options.kernel} does not take these types: {error}") from None
    module = machine.optimised(translation, target)
    print(machine.target_machine(target, 3).emit_assembly(module) if options.asm else module)
    return 0


def _kernel_type(text: str):
    """A type of a kernel's argument."""
    from jitnet.kernels.compiler import ArrayType

    found = re.fullmatch(r"(bool|u?int(?:8|16|32|64)|float(?:32|64))(\[:(?:,:)*\])?", text)
    if found is None:
        raise ValueError(f"A type is float32[:,:], int64, float64, bool or the like. Received: {text!r}")
    return found[1] if found[2] is None else ArrayType(found[1], found[2].count(":"))


def _cores(usable: int) -> str:
    """The machine's cores, and how many of them the process may use."""
    cores = os.cpu_count() or usable
    return f"{cores} cores" if usable == cores else f"{usable} of {cores} cores"


_COMPILERS = {"jitnet": "jitnet's own", "numba": "Numba, which JITNET_COMPILER says"}
_VECTOR_FEATURES = (
    "sse2", "sse4.2", "avx", "avx2", "fma", "avx512f", "avx512bw", "avx512vl", "avx512bf16", "amx-tile", "amx-bf16",
    "neon", "sve",
)  # fmt: skip


# ---- jitnet cache


def cache(options) -> int:
    """Print what the cache of compiled code holds, or clear it."""
    from jitnet._cache import cache_directory, cached_files, clear_cache, fallbacks, total_bytes

    reasons = fallbacks()
    if options.action == "clear":
        found = clear_cache()
    else:
        found = {kind: (len(paths), total_bytes(paths)) for kind, paths in cached_files().items()}
    counts, sizes = zip(*found.values(), strict=True)
    print(f"{'Removed from' if options.action == 'clear' else 'Cache'}: {cache_directory()}")
    for kind, (count, size) in {**found, "total": (sum(counts), sum(sizes))}.items():
        print(f"  {kind:<29}{count:>6,} files {size / 2**20:>9.2f} MiB")
    if reasons and options.action == "info":
        print("Compiled by Numba, because jitnet's own compiler doesn't take it:", *reasons, sep="\n  ")
    return 0


# ---- jitnet warmup


def warmup(options) -> int:
    """Compile what the recipes' models need; a line per model."""
    names = _recipes.model_names() if options.model == "all" else [options.model]
    flags = {"batch_size": options.batch_size} if options.batch_size is not None else {}
    configs = [_recipes.resolve({"dataset": options.dataset}, {"model.name": name, **flags}) for name in names]

    import time

    import jitnet

    for config in configs:
        name = config["model"]["name"]
        shape = _recipes.IMAGE_SHAPES[config["dataset"]]
        print(f"{config['dataset']}, {name}, batch {config['batch_size']}: ", end="", flush=True)
        start = time.perf_counter()
        try:
            model = _recipes.build_model(config, shape, samples=1)
        except ValueError as error:
            if len(configs) == 1:
                raise
            print(f"left out: {error}")
            continue
        jitnet.warmup(model, config["batch_size"])
        print(f"ready after {time.perf_counter() - start:.1f} s")
    return 0
