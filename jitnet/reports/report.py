"""The report on one run, as a page."""

import math

import numpy as np

from jitnet import configuration
from jitnet.commands import runs
from jitnet.reports import files, measure, page, pictures, svg
from jitnet.reports.text import chart_title, escaped, number, percent, plural, quantity, shown_value, size

_MOST_MISTAKES = 24
_MOST_FILTERS = 64
_MOST_MAPS = 32  # of a layer
_MOST_MAPS_IN_ALL = 320
_MOST_LAYERS = 24
_MOST_VARIABLES = 80
_MOST_GRADIENT_SAMPLES = 256
_MOST_NAMED_CLASSES = 50

_CLASSES = {
    "cifar10": ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"],
    "fashion_mnist": ["T-shirt", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Boot"],
}


def write(folder, out=None):
    """Write the report on the run in ``folder`` to ``out``, by default report.html in it; returns its path.

    Raises FileNotFoundError for a folder that is no run, ValueError for damaged files, OSError where it can't be
    written.
    """
    run = files.read(folder)
    config, model = runs.load(str(folder))
    missing, training, held, named = "", None, None, "test"
    try:
        training, validation, held = configuration.load_data(config)
    except configuration.DataError as error:
        if not isinstance(error.__cause__, OSError):
            raise
        missing = f"The data are not here: {error}"
    else:
        if held is None:
            held, named = validation, "validation"
        if held is None:
            missing = "The run has neither test nor validation data."
    classes = config.get("data", {}).get("classes") or _CLASSES.get(config.get("dataset"))
    path = run.folder / "report.html" if out is None else out
    page.write(path, made(run, model, training, held, named, missing, classes))
    return path


def made(run: files.Run, model, training, held, named="test", missing="", classes=None) -> str:
    """The page.

    training, held: (x, y), what the model learned from and what it is judged by, which is called ``named``; or None,
    for which ``missing`` is the reason.  classes: names of the classes.
    """
    result = _classified(model, held, missing)
    found = measure.evaluated(model, held) if held is not None else {}
    sections = [
        ("training", "Training", _training(run, model)),
        ("schedules", "Schedules", _schedules(run, model)),
        ("confusion", "Confusion matrix", _confusion(result, named, classes)),
        ("mistakes", "Mistakes", _mistakes(result, held, named, classes)),
        ("filters", "First-layer filters", _filters(model)),
        ("features", "Feature maps", _features(model, held, result, named, classes, missing)),
        ("weights", "Weights and gradients", _variables(model, training, missing, run.config.get("batch_size"))),
        ("model", "Model", _model(model)),
        ("environment", "Environment", _environment(run)),
        ("configuration", "Configuration", f"<pre>{escaped(run.config_text)}</pre>"),
    ]
    steps = model.optimizer.iterations if model.optimizer is not None else 0
    data = f"Dataset {run.config['dataset']}" if "dataset" in run.config else "Data of files"
    lead = f"{data}, model {model.name}, {plural(len(run.epochs), 'epoch')} of training"
    if steps:
        lead += f", {plural(steps, 'step')}"
    figures = {
        f"{named.capitalize()} {quantity(name)[:1].lower()}{quantity(name)[1:]}": shown_value(name, value)
        for name, value in found.items()
    }
    figures["Parameters"] = f"{sum(v.size for v in model.weights):,}"
    if held is not None:
        figures[f"{named.capitalize()} samples"] = f"{len(held[0]):,}"
    return page.page(run.name, f"{lead}.", page.tiles(figures), [page.Section(*section) for section in sections])


# ---- the course of the training


def _training(run, model) -> str:
    if not run.epochs:
        return page.absent(
            f"There is no {runs.HISTORY}: the course of the training is not known."
            if run.history is None
            else "The training ended before its first epoch did."
        )
    said = {}
    if "learning_rate" in run.history:
        rates = run.history["learning_rate"]
        said = {run.epochs[i]: f"learning rate {number(rates[i], 3)}" for i in files.changes(rates)}
    charts = [_course(run, name, said) for name in files.curves(run)]
    return f'<div class="charts">{"".join(charts)}</div>{_last_lines(run)}'


def _course(run, name: str, changes: dict) -> str:
    """A quantity over the epochs, of training and validation."""
    curves, legend = [], []
    for column, said, colour, dash in ((name, "training", 0, 0), (f"val_{name}", "validation", 1, 1)):
        if column in run.history:
            curves.append(svg.Curve(column, run.epochs, run.history[column], colour, dash))
            legend.append((said, colour, dash))
    values = [value for curve in curves for value in curve.y if math.isfinite(value)]
    logarithmic = files.is_loss(name) and all(value > 0 for value in values)
    curves[0].marks = changes
    if changes:
        legend.append(("learning rate changed", None, len(changes) <= 6))
    title = chart_title(name, logarithmic)
    chart = svg.lines(curves, title, "epoch", logarithmic, svg.axis_format(name, values))
    return page.figure(title, chart, page.legend(legend))


def _last_lines(run) -> str:
    """The best and last epoch of each quantity."""
    rows = []
    for name, values in run.history.items():
        best = files.best_of(name, values)
        if name not in files.NO_QUANTITIES:
            shown = "\u2013" if best is None else f"{shown_value(name, values[best])} (epoch {run.epochs[best]})"
            rows.append([quantity(name), shown_value(name, values[-1]), shown])
    return page.table(["Quantity", "Last epoch", "Best epoch"], rows, numeric=(1, 2))


def _schedules(run, model) -> str:
    optimizer = model.optimizer
    if optimizer is None:
        return page.absent("The model was saved without its optimizer.")
    charts = []
    for key, (steps, values) in measure.scheduled(optimizer, optimizer.iterations).items():
        title = quantity(key)
        charts.append(page.figure(title, svg.lines([svg.Curve(key, steps, values)], title, "step")))
    rates = (run.history or {}).get("learning_rate", [])
    governed = not isinstance(optimizer._hyperparameters.get("learning_rate"), float)
    if not governed and files.changes(rates):  # by a callback
        curve = svg.Curve("learning_rate", run.epochs, rates)
        charts.append(page.figure("Learning rate", svg.lines([curve], "Learning rate", "epoch")))
    constant = {key: number(value) for key, value in measure.constants(optimizer).items()}
    if charts and not governed:
        constant.pop("learning_rate", None)
    said = ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in constant.items())
    constants = page.note(f"{type(optimizer).__name__}; constant: {said}.") if said else ""
    none = "" if charts else page.absent("No schedule governs a hyperparameter.")
    return f'{constants}{none}<div class="charts">{"".join(charts)}</div>'


# ---- the data that it is judged by


def _classified(model, held, missing: str):
    """What the model makes of the data, or the reason why there is nothing."""
    try:
        if held is None:
            raise measure.Absent(missing)
        return measure.classified(model, held)
    except measure.Absent as reason:
        return reason


def _class_name(names, label) -> str:
    return names[label] if names is not None and label < len(names) else str(label)


def _confusion(result, named: str, names) -> str:
    if isinstance(result, measure.Absent):
        return page.absent(str(result))
    counts, number_of = result.counts.tolist(), len(result.counts)
    small = number_of <= _MOST_NAMED_CLASSES
    shown = [_class_name(names, label) for label in range(number_of)]
    wrong = sorted(
        ((counts[i][j], i, j) for i in range(number_of) for j in range(number_of) if i != j and counts[i][j]),
        key=lambda found: -found[0],
    )
    total, right = sum(map(sum, counts)), sum(counts[i][i] for i in range(number_of))
    said = f"{right:,} of {total:,} {named} samples are right."
    if wrong:
        most = ", ".join(f"{shown[i]} taken for {shown[j]} ({count:,})" for count, i, j in wrong[: 3 if small else 20])
        said += f" Most frequent mistakes: {most}."
    if not small:
        return page.note(said) + page.absent(f"With {number_of:,} classes the matrix would be too large to read.")
    return page.note(said) + svg.matrix(counts, shown, f"Confusion matrix of the {named} data")


def _mistakes(result, held, named: str, names) -> str:
    if isinstance(result, measure.Absent):
        return page.absent(str(result))
    x = held[0]
    if not measure.are_pictures(x):
        return page.absent("The samples are not pictures.")
    worst, predicted = result.worst(_MOST_MISTAKES), result.predicted
    if not len(worst):
        return page.absent(f"There are none: every {named} sample is right.")
    low, high = _range(x)
    shown = []
    for i in worst:
        true, taken = result.labels[i], predicted[i]
        texts = [_class_name(names, true), _class_name(names, taken)]
        shares = [percent(result.probabilities[i, label], 1) for label in (true, taken)]
        picture = pictures.image(pictures.photograph(x[i], low, high), f"{named} sample {i}, {texts[0]}")
        caption = (
            f"<i>true</i><i>predicted</i><b>{escaped(texts[0])}</b><b>{escaped(texts[1])}</b>"
            f'<span>{shares[0]}</span><span>{shares[1]}</span><i class="all">{named} sample {i}</i>'
        )
        shown.append(f"<figure>{picture}<figcaption>{caption}</figcaption></figure>")
    wrong = int((predicted != result.labels).sum())
    said = (
        f"The {len(worst):,} worst of {wrong:,} mistakes" if wrong > len(worst) else f"All {plural(wrong, 'mistake')}"
    )
    note = page.note(f"{said}, those first whose true class got the lowest probability.")
    return f'{note}<div class="mistakes">{"".join(shown)}</div>'


def _range(x) -> tuple[float, float]:
    """Which values are black and white: 0 and 1, or more where pixels are outside of that."""
    sample = np.asarray(x[:1000])
    return min(0.0, float(np.nanmin(sample, initial=0.0))), max(1.0, float(np.nanmax(sample, initial=1.0)))


# ---- the model


def _filters(model) -> str:
    try:
        name, filters = measure.first_filters(model)
    except measure.Absent as reason:
        return page.absent(str(reason))
    largest = float(np.abs(np.nan_to_num(filters)).max())
    colour = filters.shape[-1] == 3
    shown = []
    for i, values in enumerate(filters[:_MOST_FILTERS]):
        said = f"filter {i} of {name}"
        if colour:
            shown.append(pictures.image(pictures.photograph(values, -largest, largest), said))
        else:
            # of several channels that are no colours, their mean
            shown.append(pictures.image(pictures.signed(values.mean(axis=-1), largest), said))
    count = f"{plural(len(filters), 'filter')} of {size(filters.shape[1:3])}"
    if len(filters) > _MOST_FILTERS:
        count = f"the first {_MOST_FILTERS} of {count}"
    if colour:
        note = page.note(f"Layer {name}: {count}; red, green and blue are the weights of these channels, grey is 0.")
        return f'{note}<div class="maps">{"".join(shown)}</div>'
    ends = number(largest, 2)
    scale = f'<div class="scale">\u2212{escaped(ends)}<i class="signed"></i>{escaped(ends)}</div>'
    return f'{page.note(f"Layer {name}: {count}.")}{scale}<div class="maps">{"".join(shown)}</div>'


def _features(model, held, result, named: str, names, missing: str) -> str:
    if held is None:
        return page.absent(missing)
    x = held[0]
    if not measure.are_pictures(x) or not len(x):
        return page.absent("The samples are not pictures.")
    try:
        layers = measure.feature_maps(model, x[0])
    except (measure.Absent, TypeError, ValueError) as reason:
        return page.absent(str(reason))
    picture = pictures.image(pictures.photograph(x[0], *_range(x)), f"{named} sample 0").replace(
        "<img ", '<img class="large" '
    )
    said = f"What each layer makes of {named} sample 0"
    if not isinstance(result, measure.Absent):
        said += f", whose class is {_class_name(names, result.labels[0])}"
    parts = [
        page.note(f"{said}; every map on a scale of its own."),
        '<div class="scale">lowest<i class="rising"></i>highest</div>',
        f'<div class="maps">{picture}</div>',
    ]
    bars = not isinstance(result, measure.Absent) and result.probabilities.shape[1] <= _MOST_NAMED_CLASSES
    if bars:
        layers = layers[:-1]  # the last one's are the bars
    shown = layers[:_MOST_LAYERS]
    pictured = max(1, sum(values.ndim == 3 for _, _, values in shown))
    parts += [_maps(*layer, min(_MOST_MAPS, _MOST_MAPS_IN_ALL // pictured)) for layer in shown]
    if len(layers) > _MOST_LAYERS:
        parts.append(page.note(f"{plural(len(layers) - _MOST_LAYERS, 'more layer')} not shown."))
    if bars:
        shares = result.probabilities[0].tolist()
        shown = [_class_name(names, label) for label in range(len(shares))]
        chart = svg.bars(shown, shares, int(result.labels[0]), "Probabilities", lambda share: percent(share, 1))
        figure = page.figure("Probabilities (the true class in green)", chart)
        parts.append(f'<div class="charts after">{figure}</div>')
    return "".join(parts)


def _maps(name: str, kind: str, values: np.ndarray, most: int) -> str:
    """What a layer returned: (H, W, C) as maps, of which ``most`` are shown, (units,) as one strip."""
    if values.ndim == 1:
        wide = min(len(values), 48)
        rows = np.full(math.ceil(len(values) / wide) * wide, values.min(), values.dtype)
        rows[: len(values)] = values
        strip = pictures.image(pictures.rising(rows.reshape(-1, wide)), f"values of {name}", pictures.RISING)
        strip = strip.replace("<img ", f'<img class="strip" style="width:{12 * wide}px" ')
        title = f"{name} ({kind}): {plural(len(values), 'unit')}"
        return f'<h3>{escaped(title)}</h3><div class="maps">{strip}</div>'
    height, width, channels = values.shape
    count = f"{plural(channels, 'map')} of {size((height, width))}"
    if channels > most:
        count = f"the first {most} of {count}"
    maps = [pictures.rising(pictures.shrunk(values[..., i])) for i in range(min(channels, most))]
    shown = "".join(pictures.image(part, f"map {i} of {name}", pictures.RISING) for i, part in enumerate(maps))
    return f'<h3>{escaped(name)} ({escaped(kind)}): {count}</h3><div class="maps">{shown}</div>'


def _variables(model, training, missing: str, batch_size) -> str:
    # no more than fit into memory in training
    samples = min(batch_size, _MOST_GRADIENT_SAMPLES) if isinstance(batch_size, int) else 32
    data = None if training is None else tuple(np.asarray(part[:samples]) for part in training)
    rows = measure.weights_and_gradients(model, data)
    if not rows:
        return page.absent("The model has no trainable weights.")
    cards = [_card(*row) for row in rows[:_MOST_VARIABLES]]
    said = f"Gradients are of the loss of the first {len(data[0]):,} training samples. " if data else f"{missing} "
    if data and rows[0][3] is None:
        said = "Gradients can't be taken of this model's loss alone. "
    if len(rows) > _MOST_VARIABLES:
        said += f"The first {_MOST_VARIABLES} of {len(rows):,} weights are shown. "
    return f'{page.note(said + "Heights are numbers of elements.")}<div class="variables">{"".join(cards)}</div>'


def _card(name: str, shape, values, gradient) -> str:
    sides = []
    for title, found, colour in (("weights", values, 0), ("gradients", gradient, 1)):
        if found is None:
            sides.append(f"<div><p>no {title}</p></div>")
            continue
        missing = f"<p>{found.missing:,} not finite</p>" if found.missing else ""
        chart = svg.histogram(found.counts, found.low, found.high, f"{title} of {name}", colour)
        spread = f"<p>mean {number(found.mean, 2)}<br>deviation {number(found.deviation, 2)}</p>"
        sides.append(f"<div><p>{title}</p>{chart}{spread}{missing}</div>")
    return (
        f"<figure><figcaption>{escaped(name)} <span>({size(shape)})</span></figcaption>"
        f'<div class="pair">{"".join(sides)}</div></figure>'
    )


def _model(model) -> str:
    lines = measure.layer_lines(model)
    rows = [
        [
            f"{line.name} ({line.kind})", line.shape, f"{line.parameters:,}",
            "?" if line.operations is None else f"{line.operations:,.0f}",
        ]
        for line in lines
    ]  # fmt: skip
    known = [line.operations for line in lines if line.operations is not None]
    total = sum(v.size for v in model.weights)
    rows.append(["Total", "", f"{total:,}", f"{sum(known):,.0f}" if known else "?"])
    trainable = sum(v.size for v in model.trainable_weights)
    note = page.note(
        f"{trainable:,} parameters are trainable, {total - trainable:,} are not. Operations are those of one sample's "
        "prediction; a multiplication and an addition count as two."
    )
    heading = ["Layer (type)", "Output shape", "Parameters", "Operations"]
    return f'{note}<div class="layers">{page.table(heading, rows, numeric=(2, 3), last_is_sum=True)}</div>'


def _environment(run) -> str:
    if run.environment:
        return page.table([], [[key, _listed(value)] for key, value in run.environment.items()])
    versions = files.written_by(run)
    return page.absent(
        f"The run has no {runs.ENVIRONMENT}." + (f" Its configuration was written by {versions}." if versions else "")
    )


def _listed(value) -> str:
    return " ".join(map(str, value)) if isinstance(value, list) else "\u2013" if value is None else str(value)
