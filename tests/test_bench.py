"""The benchmark program: its networks, its arguments, its arithmetic and its tables; nothing is timed."""

import importlib
import json
import sys
from pathlib import Path

import numpy as np
import pytest

FOLDER = Path(__file__).resolve().parent.parent / "scripts" / "bench"


@pytest.fixture(scope="module", autouse=True)
def modules():
    """The program's modules find each other as they do when run.py is started."""
    before = set(sys.modules)
    sys.path.insert(0, str(FOLDER))
    yield
    sys.path.remove(str(FOLDER))
    for name in set(sys.modules) - before:
        if str(FOLDER) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


def bench(name):
    return importlib.import_module(name)


def record(workload, peer, ratio, unit="s", operations=0.0):
    sides = [{"median": 2e-3 * r, "spread": 0.04, "samples": [2e-3 * r], "form": "form"} for r in (1, ratio)]
    return {
        "workload": workload, "peer": peer, "unit": unit, "jitnet": sides[0], "theirs": sides[1], "ratio": ratio,
        "ratio_spread": 0.02, "operations": operations, "date": "2026-01-02 03:04", "load": 0.5, "quick": False,
    }  # fmt: skip


# ---- networks and workloads


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("mlp-tiny", 1282), ("mlp-mnist", 101_770), ("lenet5", 61_706), ("resnet20", 269_722), ("vgg", 2_360_138),
        ("mlp-large", 12_609_546), ("vgg16", 14_719_818), ("resnet18", 11_173_962), ("resnet18-160", 11_181_642),
        ("mobilenet", 543_050), ("unet", 466_562), ("signals", 66_442), ("encoder", 801_600), ("own-cell", 50_698),
    ],
)
def test_parameters(name, parameters):
    networks = bench("networks")
    network = networks.NETWORKS[name]
    assert networks.trainable_parameters(network) == parameters
    weights = networks.initial_weights(network)
    assert sum(w.size for n, w in weights.items() if not networks.is_state(n)) == parameters


@pytest.mark.parametrize(
    "name",
    [
        "mlp-tiny", "mlp-mnist", "lenet5", "resnet20", "vgg", "resnet18-160", "mobilenet", "unet", "signals", "encoder",
        "own-cell",
    ],
)
def test_jitnet_has_the_same_weights(name):
    networks, workloads = bench("networks"), bench("workloads")
    workload = next(w for w in workloads.WORKLOADS.values() if w.network == name)
    model = bench("peer_jitnet")._model(workload)
    assert sum(v.size for v in model.trainable_weights) == networks.trainable_parameters(workload.model)
    assert model.output_shape == (None, *workload.model.labelled, workload.model.classes)
    ours, theirs = model.weights, workload.weights()
    assert len(ours) == len(theirs)
    for variable, array in zip(ours, bench("peer_jitnet")._in_order(model, ours, theirs), strict=True):
        assert (variable.numpy() == array.reshape(variable.shape)).all()


def test_operations_of_lenet5():
    networks = bench("networks")
    network = networks.NETWORKS["lenet5"]
    first, second = 28 * 28 * 25 * 6, 10 * 10 * 25 * 6 * 16
    dense = 400 * 120 + 120 * 84 + 84 * 10
    assert networks.operations_per_sample(network, training=False) == 2 * (first + second + dense)
    assert networks.operations_per_sample(network, training=True) == 2 * (2 * first + 3 * (second + dense))


def test_operations_of_an_encoder():
    networks = bench("networks")
    network, steps, width, hidden = networks.NETWORKS["encoder"], 64, 128, 512
    block = steps * (4 * width**2 + 2 * width * hidden) + 2 * steps**2 * width
    products = 4 * block + steps * width * 64
    assert networks.operations_per_sample(network, training=False) == 2 * products
    first = 3 * steps * width**2  # whose gradient to the input nobody needs
    assert networks.operations_per_sample(network, training=True) == 2 * (3 * products - first)


def test_operations_of_kernels():
    workloads = bench("workloads").WORKLOADS
    assert workloads["matrix-128"].operations == 2 * 128**3
    name = "convolution-16x64x56x56x128x3x2x1-backward_filter"
    assert workloads[name].operations == 2 * 16 * 28 * 28 * 9 * 64 * 128


def test_data_and_weights_are_the_same_in_every_process():
    networks, workload = bench("networks"), bench("workloads").WORKLOADS["mlp-tiny"]
    x, y = workload.data()
    assert x.shape == (3200, 4) and x.dtype == np.float32 and y.shape == (3200,) and set(y) == {0, 1}
    again = networks.digest(*workload.weights().values(), *workload.data())
    assert again == networks.digest(*workload.weights().values(), x, y)
    assert again != networks.digest(*workload.weights().values(), x + 1, y)


def test_denormal_workload_is_denormal():
    workload = bench("workloads").WORKLOADS["lenet5-denormal"]
    x = workload.data()[0]
    assert 0 < np.abs(x).max() < np.finfo(np.float32).tiny
    assert not any(w.any() for name, w in workload.weights().items() if name.endswith(".bias"))


def test_every_workload_can_be_run():
    peers, workloads = bench("peers").PEERS, bench("workloads").WORKLOADS
    for workload in workloads.values():
        known = {*workload.peers, *workload.slow_peers}
        assert known <= set(peers)
        assert set(workload.targets) <= known | {"best"}
    assert sum(w.kind == "convolution" for w in workloads.values()) == 30
    for peer in peers.values():
        assert (FOLDER / f"{peer.module}.py").is_file()


def test_the_extra_installs_the_peers():
    import tomllib

    project = tomllib.loads((FOLDER.parent.parent / "pyproject.toml").read_text())["project"]
    names = {requirement.partition(">")[0] for requirement in project["optional-dependencies"]["bench"]}
    needed = {package for peer in bench("peers").PEERS.values() for package in peer.packages}
    assert needed - {"jitnet", "numpy"} <= names


# ---- choosing


def test_choose():
    choose = bench("workloads").choose
    assert [w.name for w in choose(["lenet5"])] == ["lenet5"]
    assert [w.name for w in choose(["matrix-512", "cold-start"])] == ["cold-start", "cold-start-empty", "matrix-512"]
    assert len(choose(["convolution"])) == 30
    with pytest.raises(ValueError, match="No workload is named 'lenet'"):
        choose(["lenet"])


def test_arguments(capsys):
    run = bench("run")
    options = run.parse(["--workloads", "mlp-tiny", "--peers", "torch", "numpy", "--threads", "1", "--quick"])
    (workload,) = options.chosen
    assert run.peers_of(workload, options) == ["torch", "numpy"]
    assert run.peers_of(workload, run.parse([])) == list(workload.peers)
    assert run.peers_of(workload, run.parse(["--full"])) == [*workload.peers, *workload.slow_peers]
    for wrong in (["--workloads", "lenet"], ["--peers", "pytorch"], ["--threads", "0"]):
        with pytest.raises(SystemExit):
            run.parse(wrong)
    assert "pytorch" in capsys.readouterr().err


# ---- measuring


def test_pairs_take_turns_until_their_ratios_agree():
    measure = bench("measure")
    order, theirs = [], iter([2.0, 8.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0])
    effort = measure.Effort(pairs=2, most_pairs=9, seconds=0, kernel_seconds=0)
    first, second = measure.pairs(lambda: order.append("a") or 1.0, lambda: order.append("b") or next(theirs), effort)
    assert order == ["a", "b"] * len(first)
    assert first == [1.0] * 5 and second == [2.0, 8.0, 2.0, 2.0, 2.0]  # the quartiles agree from the fifth on


def test_difference():
    difference = bench("measure").difference
    assert difference([1.0, 100.0], [1.1, 100.0]) == pytest.approx(1e-3)
    assert difference([1.0], [1.0, 2.0]) == difference([float("nan")], [1.0]) == float("inf")


def test_a_worker_answers_and_says_why_it_failed():
    measure = bench("measure")
    process = measure.Process("numpy", threads=1)
    try:
        assert len(process.ask("prepare", workload="mlp-tiny", threads=1)["digest"]) == 16
        losses = process.ask("check", steps=2)["values"]
        assert len(losses) == 2 and all(0 < x < 5 for x in losses)
        assert process.ask("memory")["bytes"] > 1e6
        with pytest.raises(measure.WorkerError, match="KeyError: 'nothing'"):
            process.ask("prepare", workload="nothing", threads=1)
        with pytest.raises(measure.WorkerError, match="time failed"):  # it is no longer there
            process.ask("time", seconds=0.1)
    finally:
        process.close()


def test_numpy_gradients():
    """The one peer whose backward pass is written here, by central differences."""
    peer = bench("peer_numpy")
    network = peer._Perceptron(bench("workloads").WORKLOADS["mlp-tiny"])
    network.flat = network.flat.astype(np.float64)
    x, y = np.random.default_rng(0).normal(size=(5, 4)), np.array([0, 1, 1, 0, 1])
    arrays = list(bench("workloads").WORKLOADS["mlp-tiny"].weights().values())
    ends = np.cumsum([a.size for a in arrays])
    network.weights = network._views(network.flat, arrays, ends)
    network.gradient = np.zeros_like(network.flat)
    network.gradients = network._views(network.gradient, arrays, ends)

    def loss():
        return network.backward(network.forward(x), y)

    loss()
    gradient = network.gradient.copy()
    for i in (0, 100, 130, 1200, 1281):
        before, values = network.flat[i], []
        for change in (1e-5, -1e-5):
            network.flat[i] = before + change
            values.append(loss())
        network.flat[i] = before
        assert gradient[i] == pytest.approx((values[0] - values[1]) / 2e-5, rel=1e-5, abs=1e-9)


# ---- reporting


def test_target_over_the_best_peer_is_that_of_its_row():
    report = bench("report")
    records = [record("lenet5", "torch", 5.0), record("lenet5", "jax", 3.0), record("mlp-tiny", "torch", 31.0)]
    assert [report.target(r, records) for r in records] == [None, 4.5, 30]


@pytest.mark.parametrize(
    ("ratio", "wanted", "expected"),
    [(2.0, 1.5, "reached"), (1.4, 1.5, "within 10 %"), (1.2, 1.5, "missed"), (0.8, 1.5, "loses"), (0.95, None, ""),
     (0.85, None, "loses"), (0.85, 0.8, "reached")],
)  # fmt: skip
def test_verdict(ratio, wanted, expected):
    assert bench("report").verdict(ratio, wanted) == expected


def test_causes(monkeypatch):
    report = bench("report")
    monkeypatch.setattr(report, "CAUSES", {"lenet5": "because of this"})
    missed = record("lenet5", "torch", 1.2, operations=1e6)
    times = missed["jitnet"]["median"], missed["theirs"]["median"]
    peak = missed["operations"] / times[0] * 1.25  # jitnet is at 80 % of it
    beyond = f"beyond the peak: with all arithmetic at it, the ratio would be {1.25 * times[1] / times[0]:.2f}"
    assert report.cause(missed, 2.0, peak) == f"because of this; {beyond}"
    assert report.cause(missed, 1.4, peak) == "because of this"
    assert report.cause(missed, 1.1, peak) == ""
    assert report.cause(missed, 2.0, peak / 2) == "because of this"  # an algorithm with fewer operations
    assert report.cause({**missed, "operations": 0}, 2.0, peak) == "because of this"


def test_amounts():
    amount = bench("report").amount
    assert [amount(v, "s") for v in (2.5, 0.0123, 4.5e-5, 4e-8)] == ["2.5 s", "12.3 ms", "45 µs", "0.04 µs"]
    assert amount(3 * 2**20, "bytes") == "3 MiB"


def test_results_are_kept_replaced_and_written(tmp_path, monkeypatch):
    report = bench("report")
    monkeypatch.setattr(report, "CAUSES", {"lenet5": "because of this"})
    results = report.Results(tmp_path)
    results.begin(threads=1, quick=True)
    for ratio in (9.0, 0.5):
        results.add(record("lenet5", "torch", ratio, operations=4e6))
    results.add(record("mlp-tiny", "torch", 31.0))
    shape = "64x3x32x32x16x3x1x1"
    results.add(record(f"convolution-{shape}-forward", "torch", 2.0))
    results.add(record(f"convolution-{shape}-backward_data", "torch", 0.5))
    results.data["peak"] = 4e9
    results.write()

    kept = report.Results(tmp_path)
    assert [(r["workload"], r["ratio"]) for r in kept.data["records"]][:2] == [("mlp-tiny", 31.0), ("lenet5", 0.5)]
    text = (tmp_path / "RESULTS.md").read_text()
    lines = [line for line in text.splitlines() if line.startswith("| LeNet")]
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines]
    assert rows == [
        [
            "LeNet-5, Adam, batch 64", "torch", "2 ms ± 2 % (form)", "1 ms ± 2 % (form)", "**0.50** ± 1 %", "4.5",
            "loses", "4 M: 2 GFLOP/s, 50 %", "1 ms",
            "because of this; beyond the peak: with all arithmetic at it, the ratio would be 1.00",
        ]
    ]  # fmt: skip
    assert "2 of 30 cells, geometric mean **1.00** (to reach: 1.15), lowest 0.50" in text
    assert "not found yet" in text  # the lost convolution has no cause
    assert "--quick" in text
    for line in text.splitlines():
        assert not line.startswith("|") or line.count("|") == 11

    kept.begin(threads=2, quick=False)  # another number of threads: the rows say nothing any more
    assert kept.data["records"] == [] and kept.data["peak"] is None


def test_chart(tmp_path):
    pytest.importorskip("matplotlib")
    report = bench("report")
    report.chart({"records": [record("lenet5", "torch", 5.0), record("mlp-tiny", "jax-scan", 0.7)]}, tmp_path / "a.png")
    assert (tmp_path / "a.png").stat().st_size > 1000


def test_committed_results_fit_the_program():
    """The table in the repository is what the program makes of the numbers beside it."""
    path = FOLDER / "results.json"
    if not path.is_file():
        pytest.skip("nothing has been measured yet")
    report = bench("report")
    assert (FOLDER / "RESULTS.md").read_text() == report.markdown(json.loads(path.read_text()))


def test_parts_of_one_image():
    """On paper, one image keeps four cores busy, and eight make it faster still."""
    parts = bench("parts")
    from peer_jitnet import _model
    from workloads import Workload

    model = _model(Workload("parts", "infer", "", (), network="resnet20"))
    found = parts.parts(model._prediction(1).schedule, 1)
    convolutions = [(count, work) for name, count, work in found if "conv2d_forward" in name]
    assert len(convolutions) == 19 and sum(count >= 4 for count, _ in convolutions) >= 17
    assert sum(work for _, work in convolutions) > 0.99 * sum(work for *_, work in found)
    times = [parts.seconds(found, cores) for cores in (1, 2, 4, 8)]
    assert times == sorted(times, reverse=True) and times[0] > 3 * times[2]
    many = parts.parts(model._prediction(64).schedule, 64)
    assert {count for _, count, _ in many} == {16}


# ---- two states of jitnet


@pytest.mark.parametrize(("factor", "status", "word"), [(1.0, 0, ""), (1.05, 1, ""), (1.1, 1, "SLOWER")])
def test_compare_says_what_became_slower(factor, status, word, monkeypatch, capsys):
    compare = bench("compare")
    times = {"matrix-128": ([1e-3, 2e-3, 1e-3], factor)}
    monkeypatch.setattr(
        compare, "compare", lambda w, old, new: (t := times[w.name][0], [x * factor for x in t], "same bits")
    )
    monkeypatch.setattr(compare.os, "sched_setaffinity", lambda *_: None, raising=False)
    root = str(FOLDER.parent.parent)
    assert compare.main([root, root, "--workloads", "matrix-128"]) == status
    out = capsys.readouterr().out
    assert ("SLOWER" in out) == bool(word) and f"{1 / factor:.3f} (matrix-128)" in out


def test_compare_needs_a_commit_or_a_checkout(tmp_path):
    compare = bench("compare")
    assert compare.checkout(str(FOLDER.parent.parent), tmp_path) == FOLDER.parent.parent
    with pytest.raises(SystemExit, match="neither a folder with a checkout nor a commit"):
        compare.checkout("no-such-commit", tmp_path)
