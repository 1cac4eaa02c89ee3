"""What the progress bar, CSVLogger and TensorBoard cost, in percent of a silent training at batch 32.

    python scripts/bench/progress.py [--rounds 15] [--seconds 1.0]

A child process trains two networks, a 4-32-2 perceptron and LeNet-5, on a pseudo-terminal, silent and watched in turn.
The figures are medians of the ratios of neighbours, of the time that has passed and of the processor's time of the
thread that trains; then the processor's time of the callback's own methods as a share of the shortest silent training,
which needs no quiet machine.  An epoch has 1,792 samples, as many as the bundled digits.
"""

import argparse
import json
import os
import pty
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

SAMPLES, BATCH = 1792, 32


def networks(keras):
    """name -> (layers, input shape, classes)"""
    layers = keras.layers
    return {
        "perceptron": ([layers.Dense(32, activation="tanh"), layers.Dense(2)], (4,), 2),
        "lenet5": (
            [
                layers.Conv2D(6, 5, padding="same", activation="relu"), layers.MaxPooling2D(2),
                layers.Conv2D(16, 5, activation="relu"), layers.MaxPooling2D(2), layers.Flatten(),
                layers.Dense(120, activation="relu"), layers.Dense(84, activation="relu"), layers.Dense(10),
            ],
            (28, 28, 1), 10,
        ),
    }  # fmt: skip


def watched(keras, folder: Path) -> dict:
    """name -> (verbose, callbacks)"""
    found = {
        "progress bar": lambda: (1, []),
        "CSVLogger": lambda: (0, [keras.callbacks.CSVLogger(folder / "history.csv")]),
        "a callback that does nothing": lambda: (0, [keras.callbacks.Callback()]),
        "a batch hook that does nothing": lambda: (0, [keras.callbacks.LambdaCallback(on_batch_end=lambda *_: None)]),
    }
    try:
        import tensorboardX  # noqa: F401
    except ImportError:
        return found
    board = keras.callbacks.TensorBoard
    found["TensorBoard"] = lambda: (0, [board(folder / "epochs")])
    found["TensorBoard, histograms"] = lambda: (0, [board(folder / "histograms", histogram_freq=1)])
    found["TensorBoard, update_freq=100"] = lambda: (0, [board(folder / "batches", update_freq=100)])
    return found


class Clock:
    """The processor's time in the methods of callbacks, without what asking for the time takes."""

    def __init__(self, kinds):
        self.seconds, self._running, self._asking = 0.0, False, 0.0
        empty = self._timed(lambda: None)
        for _ in range(10_000):
            empty()
        self._asking, self.seconds = self.seconds / 10_000, 0.0
        for kind in kinds:
            for name, method in list(vars(kind).items()):
                if name.startswith("on_") or name == "update":
                    setattr(kind, name, self._timed(method))

    def _timed(self, method):
        def run(*arguments, **keywords):
            if self._running:
                return method(*arguments, **keywords)
            self._running, start = True, time.thread_time()
            try:
                return method(*arguments, **keywords)
            finally:
                self._running = False
                self.seconds += time.thread_time() - start - self._asking

        return run


def measure(rounds: int, seconds: float, only: str) -> dict:
    """{network: {"epoch": seconds of a silent one, what watches: percents}}"""
    import jitnet as keras

    kinds = keras.callbacks.ProgbarLogger, keras.callbacks.CSVLogger, keras.callbacks.TensorBoard
    results, clock = {}, Clock(kinds)
    generator = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        for name, (layers, shape, classes) in networks(keras).items():
            model = keras.Sequential([keras.Input(shape), *layers])
            loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
            model.compile("adam", loss, metrics=["accuracy"])
            x = generator.standard_normal((SAMPLES, *shape), np.float32)
            y = generator.integers(0, classes, SAMPLES)

            def train(epochs, verbose=0, callbacks=(), model=model, x=x, y=y):
                start, worked = time.perf_counter(), time.thread_time()
                model.fit(x, y, BATCH, epochs, verbose=verbose, callbacks=list(callbacks))
                return time.perf_counter() - start, time.thread_time() - worked

            train(3)
            results[name] = {"epoch": train(20)[0] / 20}
            for kind, make in watched(keras, Path(folder)).items():
                if only not in kind:
                    continue
                verbose, callbacks = make()
                train(2, verbose, callbacks)
                epochs = max(3, int(seconds / (train(3, verbose, callbacks)[0] / 3)))
                silent, others = [], []
                for _ in range(rounds):
                    silent.append(train(epochs))
                    others.append(train(epochs, verbose, callbacks))
                ratios = zip(*(np.divide(other, one) for one, other in zip(silent, others, strict=True)), strict=True)
                before = clock.seconds
                for _ in range(3):
                    train(epochs, verbose, callbacks)
                own = (clock.seconds - before) / 3 / min(passed for passed, _ in silent)
                results[name][kind] = [*(100 * (statistics.median(each) - 1) for each in ratios), 100 * own]
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--seconds", type=float, default=1.0, help="of a training")
    parser.add_argument("--only", default="", help="what is measured: a part of its name")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        Path(options.child).write_text(json.dumps(measure(options.rounds, options.seconds, options.only)))
        return
    ours, theirs = pty.openpty()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "results.json"
        command = [sys.executable, __file__, "--child", str(path)]
        command += ["--rounds", str(options.rounds), "--seconds", str(options.seconds), "--only", options.only]
        child = subprocess.Popen(command, stdout=theirs)

        def drain():
            while os.read(ours, 65536):
                pass

        threading.Thread(target=drain, daemon=True).start()
        if child.wait():
            sys.exit(child.returncode)
        for name, found in json.loads(path.read_text()).items():
            print(f"{name}: {1e3 * found.pop('epoch'):.2f} ms an epoch of {SAMPLES // BATCH} steps")
            for kind, (passed, worked, own) in found.items():
                print(f"  {kind:32} {passed:+8.2f} % {worked:+8.2f} % {own:8.2f} %")


if __name__ == "__main__":
    main()
