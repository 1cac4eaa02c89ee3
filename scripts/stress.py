"""Threads, forks, kills and interruptions, for a bounded time: exit status 1 on any fault.

    python scripts/stress.py [--seconds 120] [--seed 0] [--only NAME ...]

Every attack runs in a process of its own, which is given up when it doesn't answer; each prints what it did, and what
went wrong.  ``throughput`` also prints a table: single samples predicted by 1, 2 and 4 threads with one model.
"""

import argparse
import hashlib
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

THREADS = 4
GRACE = 240  # seconds beyond its time after which an attack counts as hanging; it may have to compile
PREDICTIONS = 1000


class Faults(list):
    """What went wrong."""

    def expect(self, condition, what: str) -> None:
        if not condition:
            self.append(what)


def at_once(function, arguments) -> list:
    """``function`` of each argument, by as many threads that start together."""
    start = threading.Barrier(len(arguments))

    def run(argument):
        start.wait()
        return function(argument)

    with ThreadPoolExecutor(len(arguments)) as pool:
        return list(pool.map(run, arguments))


# ---- networks


def perceptron(mode="auto", width=8):
    import jitnet
    from jitnet import layers

    model = jitnet.Sequential(
        [jitnet.Input((6,)), layers.Dense(width, "tanh"), layers.Dropout(0.2), layers.Dense(3, "softmax")]
    )
    model.compile("adam", "sparse_categorical_crossentropy", jit_compile=mode)
    return model


def normalised(mode="auto"):
    import jitnet
    from jitnet import layers

    parts = [jitnet.Input((8, 8, 2)), layers.Conv2D(4, 3), layers.BatchNormalization(), layers.ReLU()]
    model = jitnet.Sequential([*parts, layers.Flatten(), layers.Dense(3, "softmax")])
    model.compile("adam", "sparse_categorical_crossentropy", jit_compile=mode)
    return model


def lenet5():
    import jitnet
    from jitnet import layers

    return jitnet.Sequential(
        [
            jitnet.Input((28, 28, 1)), layers.Conv2D(6, 5, padding="same", activation="relu"), layers.MaxPooling2D(2),
            layers.Conv2D(16, 5, activation="relu"), layers.MaxPooling2D(2), layers.Flatten(),
            layers.Dense(120, "relu"), layers.Dense(84, "relu"), layers.Dense(10, "softmax"),
        ]
    )  # fmt: skip


def vgg():
    """Four convolutions of 64, 64, 128 and 128 channels on 32x32 pixels."""
    import jitnet
    from jitnet import layers

    parts = [jitnet.Input((32, 32, 3))]
    for channels in (64, 128):
        parts += [layers.Conv2D(channels, 3, padding="same", activation="relu") for _ in range(2)]
        parts += [layers.MaxPooling2D(2)]
    return jitnet.Sequential([*parts, layers.Flatten(), layers.Dense(256, "relu"), layers.Dense(10, "softmax")])


def drawn(model, samples, seed=0):
    generator = np.random.default_rng(seed)
    x = generator.standard_normal((samples, *model.input_shape[1:])).astype("float32")
    return x, generator.integers(0, 3, samples)


def restarted(model, weights):
    """The model as before its first step, with everything compiled."""
    model.set_weights(weights)
    model.optimizer.iterations = 0
    model.optimizer.set_state({key: np.zeros_like(value) for key, value in model.optimizer.state().items()})
    return model


def digest(model) -> str:
    return hashlib.sha256(b"".join(w.tobytes() for w in model.get_weights())).hexdigest()


# ---- attacks: each gets (seconds, random generator, faults) and returns what it did


def predictions(seconds, generator, faults) -> str:
    """Threads predict with one model, in batches of every size, while another trains a model of its own."""
    counts = []
    for model in (perceptron(), normalised()):
        x, y = drawn(model, 64)
        expected, loss = model.predict(x, verbose=0), model.evaluate(x, y, verbose=0)
        until = time.monotonic() + seconds / 2
        seeds = generator.integers(0, 2**32, THREADS)

        def run(seed, model=model, x=x, y=y, expected=expected, loss=loss, until=until):
            own, done = np.random.default_rng(seed), 0
            while time.monotonic() < until:
                first = own.integers(0, 64)
                last = own.integers(first + 1, 65)
                one = model.predict_on_batch(x[first : first + 1])
                faults.expect(np.array_equal(one, expected[first : first + 1]), "a single prediction is another's")
                several = model.predict(x[first:last], 16, verbose=0)
                faults.expect(np.array_equal(several, expected[first:last]), "a batch of predictions is another's")
                faults.expect(model.evaluate(x, y, verbose=0) == loss, "a loss is another's")
                done += 3
            return done

        counts.append(sum(at_once(run, seeds)))
        free = max(len(step.runner.free) for step in model._steps.values())
        faults.expect(free <= THREADS, f"{free} workspaces for {THREADS} threads")
    return f"{sum(counts):,} calls by {THREADS} threads"


def trainings(seconds, generator, faults) -> str:
    """Threads train models of their own, which must be as if trained alone; a model is trained by one at a time."""
    import jitnet

    rounds = refused = 0

    def fit(model):
        x, y = drawn(model, 96)
        model.fit(x, y, 8, epochs=3, verbose=0)
        return digest(model)

    def built(build, mode):
        jitnet.utils.set_random_seed(3)
        return build(mode)

    def try_to_fit(model):
        x, y = drawn(model, 96)
        try:
            model.fit(x, y, 8, epochs=20, verbose=0)
            return 0
        except RuntimeError as error:
            faults.expect("Another thread is training the model" in str(error), str(error))
            return 1

    modes = (True, False)
    alone = {build: [fit(built(build, mode)) for mode in modes][-1] for build in (perceptron, normalised)}
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pairs = [(build, mode) for build in alone for mode in modes]
        found = at_once(fit, [built(build, mode) for build, mode in pairs])
        for (build, mode), value in zip(pairs, found, strict=True):
            faults.expect(value == alone[build], f"{build.__name__} with jit_compile={mode} has other weights")
        refused += sum(at_once(try_to_fit, [perceptron(False)] * THREADS))
        rounds += 1
    faults.expect(refused, "no training of a model by two threads was refused")
    return f"{rounds * 4} models trained by {THREADS} threads, {refused} trainings of a model in training refused"


def loads(seconds, generator, faults) -> str:
    """Threads load and use models of different float types."""
    import jitnet

    end, dtypes = time.monotonic() + seconds, ("float32", "float64")
    with tempfile.TemporaryDirectory() as folder:
        for dtype in dtypes:
            jitnet.set_floatx(dtype)
            perceptron().save(f"{folder}/{dtype}.safetensors")
        jitnet.set_floatx("float32")

        def run(dtype):
            done = 0
            while time.monotonic() < end:
                model = jitnet.load_model(f"{folder}/{dtype}.safetensors")
                found = {w.dtype for w in model.weights}
                faults.expect(found == {dtype}, f"a model of {dtype} has weights of {found}")
                if done % 10 == 0:
                    result = model.predict_on_batch(drawn(model, 2)[0])
                    faults.expect(result.dtype == dtype, f"a model of {dtype} predicts {result.dtype}")
                done += 1
            return done

        loaded = sum(at_once(run, dtypes * 2))
    faults.expect(jitnet.config.floatx() == "float32", "the global float type has changed")
    return f"{loaded:,} models loaded by {THREADS} threads"


def empty_cache(seconds, generator, faults) -> str:
    """Threads first use new models while nothing is compiled."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["JITNET_CACHE_DIR"] = folder

        def run(number):
            model = perceptron(width=8 + 5 * number)
            x, y = drawn(model, 16)
            model.fit(x, y, 8, verbose=0)
            return model.predict(x, verbose=0)

        results = at_once(run, range(THREADS))
        faults.expect(all(np.isfinite(r).all() for r in results), "a prediction is not finite")
    return f"{THREADS} new models by {THREADS} threads on an empty cache"


def forks(seconds, generator, faults) -> str:
    """Copies of a process that has used threads predict and train as their parent does."""
    if not hasattr(os, "fork"):
        return "no fork here"
    warnings.simplefilter("ignore", DeprecationWarning)
    done, model = 0, normalised()
    x, y = drawn(model, 256)
    weights = model.get_weights()

    def work():
        restarted(model, weights)
        model.fit(x, y, 64, epochs=2, verbose=0)
        return digest(model) + hashlib.sha256(model.predict(x, verbose=0).tobytes()).hexdigest()

    expected = work()
    stop = threading.Event()

    def predict():
        while not stop.is_set():
            model.predict_on_batch(x[:2])

    other = threading.Thread(target=predict)
    other.start()
    end = time.monotonic() + seconds
    try:
        while time.monotonic() < end:
            child = os.fork()
            if child == 0:
                signal.alarm(60)
                os._exit(0 if work() == expected else 3)
            status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            faults.expect(status == 0, f"a copy of the process ended with {status}")
            done += 1
    finally:
        stop.set()
        other.join()
    return f"{done} copies trained and predicted, while another thread of the parent was predicting"


def kills(seconds, generator, faults) -> str:
    """A killed process leaves none behind, in the midst of compiling on an empty cache or of training."""
    if not Path("/proc/self/environ").is_file():
        return "no /proc here"
    end, done, left = time.monotonic() + seconds, 0, 0
    while time.monotonic() < end or not done:
        with tempfile.TemporaryDirectory() as folder:
            mark = f"JITNET_STRESS={os.getpid()}-{done}"
            variables = {**os.environ, "JITNET_CACHE_DIR": folder, **dict([mark.split("=")])}
            process = subprocess.Popen([sys.executable, __file__, "--victim"], env=variables)
            time.sleep(generator.uniform(0.5, 8))
            process.kill()
            process.wait()
            time.sleep(1)
            remaining = marked(mark)
            left += len(remaining)
            for number in remaining:
                os.kill(number, signal.SIGKILL)
        done += 1
    faults.expect(left == 0, f"{left} processes were left a second after their parent was killed")
    return f"{done} processes killed"


def marked(mark: str) -> list[int]:
    """The processes that have ``mark`` in their environment."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal() and int(folder.name) != os.getpid():
            try:
                if mark.encode() in (folder / "environ").read_bytes().split(b"\0"):
                    found.append(int(folder.name))
            except OSError:
                continue  # it has ended, or is another user's
    return found


def victim() -> None:
    """Trains until it is killed."""
    model = normalised(True)
    x, y = drawn(model, 256)
    model.fit(x, y, 64, epochs=10**9, verbose=0)


def interruptions(seconds, generator, faults) -> str:
    """Ctrl-C at random moments of a training: the optimizer has counted the steps that made the weights."""
    counts = []
    models = [(build, mode, build(mode)) for build in (perceptron, normalised) for mode in (False, True)]
    starts = [model.get_weights() for *_, model in models]

    def again(index):
        return restarted(models[index][-1], starts[index])

    def train(model, steps):
        x, y = drawn(model, 48)
        epochs, rest = divmod(steps, 6)
        model.fit(x, y, 8, epochs=epochs, verbose=0)
        if rest:
            model.fit(x, y, 8, steps_per_epoch=rest, verbose=0)

    for index in range(len(models)):
        train(models[index][-1], 615)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for index in range(len(models)):
            model = again(index)
            interrupt(model, *drawn(model, 48), generator.uniform(0.01, 0.1))
            steps, found = model.optimizer.iterations, digest(model)
            train(again(index), steps)
            name = f"{models[index][0].__name__} with jit_compile={models[index][1]}"
            faults.expect(digest(model) == found, f"{name}: the weights are not those after {steps} steps")
            counts.append(steps)
    return f"{len(counts)} trainings interrupted after {min(counts):,} to {max(counts):,} steps"


def interrupt(model, x, y, seconds) -> None:
    """Ctrl-C, pressed once, after so many seconds of training."""
    pressed = threading.Timer(seconds, os.kill, (os.getpid(), signal.SIGINT))
    try:
        pressed.start()
        model.fit(x, y, 8, epochs=10**9, verbose=0)
    except KeyboardInterrupt:
        pass
    finally:
        pressed.join()


def throughput(seconds, generator, faults) -> str:
    """1,000 single samples predicted with one model, by 1, 2 and 4 threads; the best of several rounds."""
    lines = []
    for build in (lenet5, vgg):
        model = build()
        x = drawn(model, PREDICTIONS)[0]
        expected = model.predict(x, verbose=0)
        end, best = time.monotonic() + seconds / 2, {1: 0.0, 2: 0.0, THREADS: 0.0}
        model.predict_on_batch(x[:1])
        while time.monotonic() < end or not all(best.values()):
            for threads in best:

                def run(part, model=model, x=x):
                    start = time.perf_counter()
                    results = [model.predict_on_batch(x[i : i + 1]) for i in part]
                    return start, time.perf_counter(), results

                parts = [range(first, PREDICTIONS, threads) for first in range(threads)]
                starts, ends, results = zip(*at_once(run, parts), strict=True)
                best[threads] = max(best[threads], PREDICTIONS / (max(ends) - min(starts)))
                wrong = sum(
                    not np.array_equal(result[0], expected[i])
                    for part, found in zip(parts, results, strict=True)
                    for i, result in zip(part, found, strict=True)
                )
                faults.expect(wrong == 0, f"{build.__name__}: {wrong} of {PREDICTIONS} wrong with {threads} threads")
        rates = ", ".join(f"{n} thread{'s' * (n > 1)}: {rate:,.0f}" for n, rate in best.items())
        lines.append(f"{build.__name__}: {rates} predictions a second ({best[THREADS] / best[1]:.2f} times)")
    return "; ".join(lines)


ATTACKS = [predictions, trainings, loads, empty_cache, forks, kills, interruptions, throughput]


def run_attack(name: str, seconds: float, seed: int) -> int:
    """In the attack's own process: print what it did and what went wrong."""
    faults = Faults()
    attack = next(a for a in ATTACKS if a.__name__ == name)
    print(attack(seconds, np.random.default_rng(seed), faults))
    for fault in sorted(set(faults)):
        print(f"    FAULT: {fault} ({faults.count(fault)} times)")
    return 1 if faults else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=120, help="of attacks in all, compilation not counted")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="+", choices=[a.__name__ for a in ATTACKS], metavar="NAME", help="some attacks")
    parser.add_argument("--attack", help=argparse.SUPPRESS)
    parser.add_argument("--victim", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.victim:
        victim()
    if options.attack:
        return run_attack(options.attack, options.seconds, options.seed)
    names = options.only or [a.__name__ for a in ATTACKS]
    seconds, failed = options.seconds / len(names), []
    for name in names:
        command = [sys.executable, __file__, "--attack", name, "--seconds", str(seconds), "--seed", str(options.seed)]
        print(f"{name}: ", end="", flush=True)
        try:
            code = subprocess.run(command, timeout=seconds + GRACE, check=False).returncode
        except subprocess.TimeoutExpired:
            print(f"no answer\n    FAULT: given up after {seconds + GRACE:.0f} s")
            code = 1
        if code not in (0, 1):
            print(f"    FAULT: ended with {code}")
        if code:
            failed.append(name)
    print(f"failed: {', '.join(failed)}" if failed else "no fault")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
