"""The command ``jitnet``: train, tune, evaluate, predict, export, report, compare, data, info, inspect, cache, warmup.

Only the parsing of arguments is here: ``jitnet --help`` must not wait for NumPy or Numba.  What a run is made of is in
``configuration``, what a command does in the file of its name in ``commands``.
"""

import argparse
import os
import sys
from importlib import import_module

from jitnet import __version__

_EPILOG = """\
examples:
  jitnet train digits
  jitnet train mnist --model lenet5 --epochs 12 --set optimizer.schedule=constant
  jitnet train runs/digits-cnn-seed0/config.toml      repeats a run, bit for bit
  jitnet train --resume runs/digits-cnn-seed0         goes on where a run was stopped or killed
  jitnet train config.toml --set optimizer.learning_rate=0.01 --set model.layers.0.filters=32
  jitnet tune config.toml --trials 50 --workers 4     searches what [tune.space] names
  jitnet evaluate runs/digits-cnn-seed0
  jitnet predict runs/digits-cnn-seed0 images.npy --out probabilities.npy
  jitnet export runs/digits-cnn-seed0 --out build/digits
  jitnet report runs/digits-cnn-seed0
  jitnet data fetch mnist

exit status:
  0    done
  2    wrong use: of the command line, of a configuration, of folders; no room to write
  3    bad data: missing, damaged, of a wrong shape, not finite
  130  interrupted by Ctrl-C; 143 by SIGTERM; 141: what read the output has ended, as head does
"""


class _Parser(argparse.ArgumentParser):
    def error(self, message):
        # one line on standard error, without the usage
        self.exit(2, f"{self.prog}: error: {message} (see {self.prog} --help)\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="jitnet",
        description="Neural networks whose every kernel is Python compiled by Numba.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"jitnet {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=_Parser)

    train = commands.add_parser(
        "train",
        help="train a model and keep the run in a folder",
        description="Train a model on a dataset by a recipe, or as a configuration describes: data, layers, optimizer, "
        "loss, callbacks. The config.toml of a run repeats it, bit for bit.",
        allow_abbrev=False,
    )
    train.add_argument(
        "source",
        nargs="?",
        metavar="DATASET|CONFIG.toml",
        help="digits, mnist, ... (jitnet data list), or a configuration file",
    )
    train.add_argument("--model", help="mlp, cnn or lenet5")
    train.add_argument("--epochs", type=int, help="passes over the training data")
    train.add_argument("--batch-size", type=int, help="images per step")
    train.add_argument("--optimizer", help="adam or sgd")
    train.add_argument("--learning-rate", type=float, help="the optimizer's step size")
    train.add_argument("--seed", type=int, help="the seed of all randomness: initial weights, order, dropout")
    train.add_argument("--threads", type=int, help="threads (default, or 0: all cores; results don't depend on it)")
    train.add_argument("--device", help="cpu, or cuda for an NVIDIA GPU (cuda:1 for the second)")
    train.add_argument(
        "--checkpoint-every", metavar="STEPS|epoch", help="how often the run's whole state is saved (default: epoch)"
    )
    train.add_argument(
        "--resume", metavar="RUN", help="go on with a run that was interrupted or killed, as if it had not been"
    )
    train.add_argument("--out", metavar="DIR", help="new folder of the run (default: runs/DATASET-MODEL-seedSEED)")
    train.add_argument(
        "--debug-nan",
        action="store_true",
        help="stop at the first NaN or infinity in the loss or a weight, and say in which layer and kernel it begins; "
        "slower; RUN/config.toml repeats a run for it, --resume goes on from its last checkpoint",
    )
    train.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        dest="settings",
        help="set any key of the configuration, as in --set optimizer.beta_1=0.8 (may be repeated)",
    )

    tune = commands.add_parser(
        "tune",
        help="search for the best settings on validation data",
        description="Try settings of the spaces that [tune.space] of a configuration names, by Optuna: each trial is a "
        "run, those that promise less are ended early, the best is kept. Needs pip install 'jitnet[tune]'.",
        allow_abbrev=False,
    )
    tune.add_argument("source", nargs="?", metavar="CONFIG.toml", help="a configuration with [tune.space]")
    tune.add_argument("--trials", type=int, help="how many to make, in all (default: 20)")
    tune.add_argument("--workers", type=int, help="processes that make trials at the same time (default: 1)")
    tune.add_argument("--seed", type=int, help="of all randomness: of each training, and of the search")
    tune.add_argument("--threads", type=int, help="threads of all workers together (default, or 0: all cores)")
    tune.add_argument("--resume", metavar="FOLDER", help="go on with an interrupted search, or make more trials")
    tune.add_argument("--out", metavar="DIR", help="new folder (default: runs/DATASET-MODEL-seedSEED-tune)")
    tune.add_argument(
        "--plot",
        metavar="FILE.png",
        help="draw how much each setting matters, and the course of the best value. Needs pip install 'jitnet[plots]'",
    )
    tune.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        dest="settings",
        help="set any key of the configuration, as in --set tune.monitor=val_accuracy (may be repeated)",
    )

    evaluate = commands.add_parser(
        "evaluate",
        help="loss and accuracy of a trained model on the test set",
        description="Print the loss and the metrics of a run's model on the test set of its data.",
        allow_abbrev=False,
    )
    evaluate.add_argument("run", metavar="RUN", help="folder of a run, as in runs/digits-cnn-seed0")

    predict = commands.add_parser(
        "predict",
        help="classify images, or apply a model to other samples",
        description="Print the most probable label of every image in FILE.npy, one to a line; of a model that does not "
        "classify, its outputs.",
        allow_abbrev=False,
    )
    predict.add_argument("run", metavar="RUN", help="folder of a run, as in runs/digits-cnn-seed0")
    predict.add_argument(
        "file",
        metavar="FILE.npy",
        help="images as in the dataset, with its pixel values: (N, H, W) or (N, H, W, C), or one of them alone; or "
        "samples (N, ...) as of the run's files",
    )
    predict.add_argument("--out", metavar="FILE.npy", help="write the classes' probabilities, (N, classes), instead")

    export = commands.add_parser(
        "export",
        help="a trained model as a C library",
        description="Write a run's predictions as a C library: a header, an object file with the weights and, where "
        "there is a C compiler, a shared library. They need neither Python nor jitnet.",
        allow_abbrev=False,
    )
    export.add_argument("run", metavar="RUN", help="folder of a run, as in runs/digits-cnn-seed0")
    export.add_argument("--batch-size", type=int, default=1, help="samples in a call (default: 1)")
    export.add_argument(
        "--out",
        metavar="PATH",
        help="where, without a suffix; its last part begins the names in C: build/digits gives digits.h, digits.o, "
        "libdigits.so and digits_predict (default: RUN/library/model)",
    )

    report = commands.add_parser(
        "report",
        help="one page about a run: curves, mistakes, filters, weights",
        description="Write one HTML file about a run, which needs nothing else: curves, schedules, confusion matrix, "
        "mistakes, filters, feature maps, weights and gradients, model, environment, configuration.",
        allow_abbrev=False,
    )
    report.add_argument("run", metavar="RUN", help="folder of a run, as in runs/digits-cnn-seed0")
    report.add_argument("--out", metavar="FILE.html", help="the file to write (default: report.html in the folder)")

    compare = commands.add_parser(
        "compare",
        help="runs side by side: settings that differ, figures, curves",
        description="Print what differs between runs and how far each came; with --out, also write a page with their "
        "curves.",
        allow_abbrev=False,
    )
    compare.add_argument("runs", metavar="RUN", nargs="+", help="folders of at least two runs")
    compare.add_argument("--out", metavar="FILE.html", help="also write one HTML file")

    data = commands.add_parser(
        "data",
        help="datasets: where they are, their licence; fetch and verify them",
        description="List the datasets with where they are, size, licence and source; download them; check what is "
        "there: hashes and shapes.",
        allow_abbrev=False,
    )
    data.add_argument("action", choices=("list", "fetch", "verify"), metavar="list|fetch|verify")
    data.add_argument(
        "names", metavar="DATASET", nargs="*", help="which (default: all; of verify, those that are there)"
    )

    commands.add_parser(
        "info",
        help="versions, CPU features, threads, CUDA",
        description="Print what jitnet runs on: versions, CPU features, threads, CUDA or why not.",
        allow_abbrev=False,
    )

    inspect = commands.add_parser(
        "inspect",
        help="a kernel's Python, LLVM code or machine code",
        description="Print a kernel: its Python, or what jitnet's compiler makes of it for arguments of certain types.",
        epilog="for example: jitnet inspect elementwise.relu_forward float32[:] float32[:] --asm",
        allow_abbrev=False,
    )
    inspect.add_argument("kernel", metavar="KERNEL", help="file in kernels/cpu and function: dense.dense_forward")
    inspect.add_argument("types", metavar="TYPE", nargs="*", help="of an argument: float32[:,:], int64, bool")
    what = inspect.add_mutually_exclusive_group()
    what.add_argument("--llvm", action="store_true", help="LLVM's intermediate code, optimised")
    what.add_argument("--asm", action="store_true", help="the machine's instructions")

    cache = commands.add_parser(
        "cache",
        help="what the cache of compiled kernels holds, or clear it",
        description="Print what the cache of compiled kernels holds, or remove it; it is made again when needed.",
        allow_abbrev=False,
    )
    cache.add_argument(
        "action", choices=("info", "clear"), metavar="info|clear", help="clear keeps datasets and files of others"
    )

    warmup = commands.add_parser(
        "warmup",
        help="compile the kernels of the recipes' models now",
        description="Compile and store what `jitnet train` and the run's evaluation need, so that nothing waits for it "
        "later.",
        allow_abbrev=False,
    )
    warmup.add_argument("--dataset", default="mnist", help="whose image size and recipes (default: mnist)")
    warmup.add_argument("--model", default="all", help="mlp, cnn, lenet5 or all (default: all)")
    warmup.add_argument("--batch-size", type=int, help="images per step (default: the recipe's)")
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns the exit status, as --help lists them."""
    options = _parser().parse_args(arguments)
    if options.command == "train" and options.source is None and options.resume is None:
        _Parser(prog="jitnet train").error("what to train is missing: DATASET or CONFIG.toml, or --resume RUN")
    if options.command == "tune" and options.source is None and options.resume is None:
        _Parser(prog="jitnet tune").error("what to vary is missing: CONFIG.toml, or --resume FOLDER")
    options.command_line = sys.argv[1:] if arguments is None else list(arguments)
    # a name of a folder that the output's encoding lacks must not end a run
    if getattr(sys.stdout, "errors", None) == "strict":
        sys.stdout.reconfigure(errors="backslashreplace")
    # a mistake of the user has one message; anything else is jitnet's own and shows where it comes from
    try:
        status = import_module(f"jitnet.commands.{options.command}").run(options)
        if sys.stdout is not None:  # None: it was closed before Python started
            sys.stdout.flush()
        return status
    except (ValueError, OSError) as error:
        from jitnet.configuration import DataError

        if isinstance(error, BrokenPipeError) and _nobody_reads():
            resumes = options.command in ("train", "tune")  # all others only had something to say
            text = f"nobody reads the output any more; go on with jitnet {options.command} --resume, and > log.txt"
            return _failed(options.command, text, 141) if resumes else 141
        return _failed(options.command, error, 3 if isinstance(error, DataError) else 2)
    except MemoryError as error:
        return _failed(options.command, f"the memory of this machine does not suffice. {error}", 2)
    except KeyboardInterrupt:
        return _failed(options.command, "interrupted", 130)


def _nobody_reads() -> bool:
    """Whether the other end of standard output is closed; then what it still holds goes nowhere, without a word."""
    try:
        print(flush=True)  # a write finds out, and one of nothing doesn't
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return True
    return False


def _failed(command: str, message, status: int) -> int:
    print(f"jitnet {command}: error: {message}", file=sys.stderr)
    return status
