"""Pictures of models and histories, by what is in them."""

import builtins
import itertools
import re
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from small_networks import data, perceptron, two_outputs

import jitnet
from jitnet import callbacks, layers, utils
from jitnet.pictures import layout

SVG = "{http://www.w3.org/2000/svg}"


def residual():
    x = jitnet.Input((4,), name="start")
    inner = jitnet.Sequential([jitnet.Input((5,)), layers.Dense(5, "relu", name="in<side")], name="inner")
    shared = layers.Dense(5, name="shared")
    y = inner(shared(x))
    y = layers.Add(name="sum")([y, shared(x)])
    return jitnet.Model(x, [layers.Dense(2, name="last")(y), y * 2.0], name="residual")


# --- where boxes stand


def test_the_layout_keeps_boxes_and_lines_apart():
    generator = np.random.default_rng(0)
    for count in (1, 2, 9, 40):
        edges = [(int(a), int(b), (30.0, 10.0)) for a, b in generator.integers(0, count, (2 * count, 2)) if a < b]
        sizes = [(float(w), float(h)) for w, h in generator.uniform(10, 200, (count, 2))]
        centres, lines, labels, (across, depth) = layout.arranged(sizes, edges)
        boxes = [(x - w / 2, y - h / 2, x + w / 2, y + h / 2) for (x, y), (w, h) in zip(centres, sizes, strict=True)]
        assert min(b[0] for b in boxes) > -1e-9 and max(b[2] for b in boxes) < across + 1e-9
        assert min(b[1] for b in boxes) > -1e-9 and max(b[3] for b in boxes) < depth + 1e-9
        for i, one in enumerate(boxes):
            for other in boxes[:i]:
                apart = one[2] < other[0] or other[2] < one[0] or one[3] < other[1] or other[3] < one[1]
                assert apart, (one, other)
        for (start, end, _), line, label in zip(edges, lines, labels, strict=True):
            assert line[0] == (centres[start][0], boxes[start][3]) and line[-1] == (centres[end][0], boxes[end][1])
            assert all(one[1] <= other[1] + 1e-9 for one, other in itertools.pairwise(line))
            for x, y in [*line[1:-1], label]:
                assert not any(b[0] < x < b[2] and b[1] < y < b[3] for b in boxes)
    # a chain is straight, and two branches that need not cross don't
    centres, lines, _, _ = layout.arranged([(10.0, 5.0)] * 4, [(0, 1, (0, 0)), (1, 2, (0, 0)), (2, 3, (0, 0))])
    assert len({x for x, _ in centres}) == 1
    pairs = [(0, 2, (0, 0)), (1, 3, (0, 0)), (2, 5, (0, 0)), (3, 4, (0, 0))]
    centres, *_ = layout.arranged([(10.0, 5.0)] * 6, pairs)
    assert (centres[0][0] < centres[1][0]) == (centres[2][0] < centres[3][0]) == (centres[5][0] < centres[4][0])


# --- model.plot


def texts(picture):
    root = ElementTree.fromstring(picture.svg())
    return [element.text for element in root.iter(f"{SVG}text")], root


def test_a_model_as_svg(tmp_path, monkeypatch):
    model = residual()
    picture = model.plot(tmp_path / "model.svg")
    assert (tmp_path / "model.svg").read_text() == picture.svg() == picture._repr_svg_()
    found, root = texts(picture)
    boxes = ["start (InputLayer)", "shared (Dense)", "shared (Dense)", "inner (Sequential)", "sum (Add)"]
    assert sorted(line for line in found if "(None" not in line) == sorted([*boxes, "last (Dense)", "multiply"])
    # one on every line, one in each box that returns what the model returns
    assert sorted(line for line in found if "(None" in line) == sorted(
        ["(None, 4)"] * 2 + ["(None, 5)"] * (5 + 1) + ["(None, 2)"]
    )
    assert len(list(root.iter(f"{SVG}path"))) == len(list(root.iter(f"{SVG}polygon"))) == 7
    frames = [float(root.get(name)) for name in ("width", "height")]
    for left, top, width, height, *_ in picture.boxes:
        assert left >= 0 and left + width <= frames[0] and top >= 0 and top + height <= frames[1]
    nested = model.plot(expand_nested=True, show_shapes=False, show_trainable=True, show_layer_activations=True)
    found, _ = texts(nested)
    assert "in<side (Dense)" in found and "activation: relu" in found and "trainable" in found
    assert not [line for line in found if "(None" in line]
    ((left, top, width, height, _, _),) = [box for box in nested.boxes if box[-1] == "model"]
    inside = [b for b in nested.boxes if left < b[0] and b[0] + b[2] < left + width and top < b[1] < top + height]
    assert [box[4][0] for box in inside] == ["input (InputLayer)", "in<side (Dense)"]
    names = {direction: picture_of(model, direction) for direction in ("TB", "BT", "LR", "RL")}
    assert names["TB"]["start"][1] < names["TB"]["last"][1] and names["BT"]["start"][1] > names["BT"]["last"][1]
    assert names["LR"]["start"][0] < names["LR"]["last"][0] and names["RL"]["start"][0] > names["RL"]["last"][0]
    with pytest.raises(ValueError, match=r"Received: rankdir='UP'"):
        model.plot(rankdir="UP")
    with pytest.raises(ValueError, match="is not built"):
        jitnet.Sequential([layers.Dense(2)]).plot()
    # SVG needs no other package, and what needs one says so
    forbid(monkeypatch, "matplotlib")
    model.plot(tmp_path / "again.svg")
    with pytest.raises(ImportError, match=r"needs matplotlib: pip install 'jitnet\[plots\]'"):
        model.plot(tmp_path / "model.png")


def picture_of(model, rankdir):
    return {box[4][0].split()[0]: box[:2] for box in model.plot(rankdir=rankdir).boxes}


def forbid(monkeypatch, package):
    real = builtins.__import__

    def import_(name, *arguments):
        if name.partition(".")[0] == package:
            raise ImportError(name)
        return real(name, *arguments)

    monkeypatch.setattr(builtins, "__import__", import_)


def test_a_model_as_png(tmp_path):
    pytest.importorskip("matplotlib")
    model = two_outputs()
    picture = utils.plot_model(model, tmp_path / "model.png", show_shapes=True, dpi=96)
    content = (tmp_path / "model.png").read_bytes()
    size = [int.from_bytes(content[i : i + 4], "big") for i in (16, 20)]
    assert content.startswith(b"\x89PNG") and np.allclose(size, [picture.width, picture.height], atol=1)
    assert "Dense" in texts(picture)[0]
    with pytest.raises(ValueError, match=r"png.*Received: path="):
        utils.plot_model(model, tmp_path / "model.doc")
    utils.plot_model(model, tmp_path / "model.svg")
    assert (tmp_path / "model.svg").read_text().startswith("<svg")


# --- history.plot


def test_a_history_as_curves(tmp_path, monkeypatch):
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    x, y = data(8)

    def rate(epoch):
        return 0.1 if epoch < 4 else 0.01

    history = perceptron().fit(
        x, y, epochs=6, verbose=0, validation_split=0.25, validation_freq=2,
        callbacks=callbacks.LearningRateScheduler(rate),
    )  # fmt: skip
    figure = history.plot(tmp_path / "history.png")
    assert (tmp_path / "history.png").read_bytes().startswith(b"\x89PNG")
    losses, accuracies = figure.axes
    assert (losses.get_yscale(), accuracies.get_yscale()) == ("log", "linear")
    assert (losses.get_ylabel(), accuracies.get_ylabel(), accuracies.get_xlabel()) == ("loss", "accuracy", "epoch")
    for axes, name in ((losses, "loss"), (accuracies, "accuracy")):
        training, validation, change = axes.lines
        assert (training.get_label(), validation.get_label()) == (name, f"val_{name}")
        np.testing.assert_array_equal(training.get_xdata(), range(1, 7))
        np.testing.assert_array_equal(training.get_ydata(), history.history[name])
        np.testing.assert_array_equal(validation.get_xdata(), [2, 4, 6])
        np.testing.assert_array_equal(validation.get_ydata(), history.history[f"val_{name}"])
        assert list(change.get_xdata()) == [4.5, 4.5]  # before the fifth epoch
    assert [text.get_text() for text in losses.texts] == ["0.1 → 0.01"]
    # a rate that never rests is a curve, a loss below zero has no logarithm, another training goes on counting
    other = callbacks.History()
    for _ in range(2):
        for epoch in range(8):
            other.on_epoch_end(
                epoch, {"loss": 3.0 - epoch, "a": 1.0, "b": 1.0, "c": np.ones(2), "learning_rate": epoch}
            )
    shown = other.plot()
    assert [axes.get_ylabel() for axes in shown.axes] == ["loss", "a", "b", "learning rate"]
    assert shown.axes[0].get_yscale() == "linear" and list(shown.axes[0].lines[0].get_xdata()) == list(range(1, 17))
    assert shown.number in matplotlib.pyplot.get_fignums()
    matplotlib.pyplot.close(shown)
    with pytest.raises(ValueError, match="no epoch"):
        callbacks.History().plot()
    forbid(monkeypatch, "matplotlib")
    with pytest.raises(ImportError, match=re.escape("history.plot needs matplotlib: pip install 'jitnet[plots]'.")):
        history.plot()
