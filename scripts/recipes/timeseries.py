"""Forecasting electricity demand, a day ahead by half hours: an LSTM against a naive and a linear forecast.

    pip install 'jitnet[recipes]'; python scripts/recipes/timeseries.py

The demand in England and Wales in the summer of 2000 (Taylor 2003), which the package pmdarima ships: 12 weeks, the
last two of which are forecast, from every half hour. The naive forecast is the same half hour a week before.
The others say by how much demand will differ from that, from the last two days: linear least squares (the penalty
chosen on the two weeks before), and an LSTM (stopped by them).
"""

import itertools

import numpy as np
from recipe import arguments, claim, figure, save

import jitnet
from jitnet import callbacks, layers, optimizers

WEEK, PAST, AHEAD = 336, 96, 48  # half hours


def demand() -> np.ndarray:
    try:
        from pmdarima.datasets import load_taylor
    except ImportError:
        raise SystemExit("The series is that of pmdarima: pip install 'jitnet[recipes]'") from None
    return load_taylor().astype("float32")


def windows(series, first: int, end: int, **options):
    """Batches of the past, (demand, its change in a week), and the changes to come, within [first, end)."""
    changes = series[WEEK:] - series[:-WEEK]
    past = np.stack([series[WEEK:], changes], axis=-1)[first - WEEK : end - WEEK]
    coming = np.lib.stride_tricks.sliding_window_view(past[PAST:, 1], AHEAD)
    return jitnet.utils.timeseries_dataset_from_array(past[:-AHEAD], coming, PAST, batch_size=64, **options)


def arrays(dataset):
    return tuple(np.concatenate(parts) for parts in zip(*dataset, strict=True))


def linear_forecast(train, validation, test):
    """Least squares with the penalty that is the best on the validation."""

    def flat(x):
        return np.concatenate([x.reshape(len(x), -1), np.ones((len(x), 1))], axis=1)

    a, best = flat(train[0]).astype(float), None
    for penalty in 10.0 ** np.arange(-3, 5):
        weights = np.linalg.solve(a.T @ a + penalty * np.eye(a.shape[1]), a.T @ train[1])
        error = np.abs(flat(validation[0]) @ weights - validation[1]).mean()
        if best is None or error < best[0]:
            best = error, weights
    return flat(test[0]) @ best[1]


def network(units: int) -> jitnet.Model:
    model = jitnet.Sequential([layers.Input((PAST, 2)), layers.LSTM(units), layers.Dropout(0.2), layers.Dense(AHEAD)])
    model.compile(optimizers.Adam(2e-3), "mae")
    return model


def main():
    given = arguments(__doc__, epochs=(60, 1), seeds=(3, 1), units=(64, 8))
    series = demand()
    ends = [0, 8 * WEEK, 10 * WEEK, 12 * WEEK]
    mean, spread = series[: ends[1]].mean(), series[: ends[1]].std()
    scaled = (series - mean) / spread
    # each part's first window ends where the part begins
    parts = [(max(begin - PAST, WEEK), end) for begin, end in itertools.pairwise(ends)]
    train, validation, test = (arrays(windows(scaled, *part)) for part in parts)
    forecasts = {"a week before": np.zeros_like(test[1]), "linear": linear_forecast(train, validation, test)}
    for seed in range(given.seed, given.seed + given.seeds):
        jitnet.utils.set_random_seed(seed)
        model = network(given.units)
        batches = windows(scaled, *parts[0], shuffle=True, seed=seed)
        stop = callbacks.EarlyStopping("val_loss", patience=10, restore_best_weights=True)
        model.fit(batches, epochs=given.epochs, validation_data=validation, callbacks=[stop], verbose=0)
        forecasts[f"LSTM {seed}"] = model.predict(test[0], verbose=0)
    right = np.lib.stride_tricks.sliding_window_view(series[ends[2] :], AHEAD)
    naive = np.lib.stride_tricks.sliding_window_view(series[ends[2] - WEEK : -WEEK], AHEAD)
    errors = {name: 100 * np.abs((naive + spread * f - right) / right) for name, f in forecasts.items()}
    names = [name for name in errors if name.startswith("LSTM")]
    of_seeds = [errors.pop(name) for name in names]
    errors["LSTM"] = np.mean(of_seeds, axis=0)

    picture, ((days, hours),) = figure(1, 2, 10, 3.6)
    day = 5 * AHEAD
    days.plot(right[day], "k", label="demand")
    days.plot(naive[day], ":", label="a week before")
    days.plot(naive[day] + spread * forecasts["linear"][day], "--", label="linear")
    days.plot(naive[day] + spread * forecasts[names[0]][day], label="LSTM")
    days.set(xlabel="half hour of the day", ylabel="MW, a day of the test")
    for name, error in errors.items():
        hours.plot(np.arange(1, AHEAD + 1) / 2, error.mean(axis=0), label=name)
    hours.set_xlabel("hours ahead")
    hours.set_ylabel("mean absolute error, %")
    for axis in (days, hours):
        axis.legend()
        axis.grid(alpha=0.3)
    save(picture, given.output, "timeseries")
    said = ", ".join(f"{name} {error.mean():.2f} %" for name, error in errors.items())
    print(f"Mean absolute error of a day's forecasts: {said} ± {np.std([e.mean() for e in of_seeds]):.2f}")
    for name in ("a week before", "linear"):
        claim(f"The LSTM's error is smaller than that of '{name}', in %.",
              [errors[name].mean() - error.mean() for error in of_seeds])  # fmt: skip


if __name__ == "__main__":
    main()
