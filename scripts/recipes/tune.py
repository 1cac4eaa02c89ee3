"""Tuning: learning rate, widths, dropout, weight decay and batch size chosen by Optuna on validation data.

    python scripts/recipes/tune.py

Four processes with one journal propose settings by what all have found (tree-structured Parzen estimators, Bergstra et
al. 2011), and end a training that is worse than the median at that epoch. They train on 4000 digits of MNIST and judge
by 2000 others. The test is looked at once, by the best network and one of customary settings, both trained anew on all
6000. Which trials there are depends on which process is first. `jitnet tune CONFIG.toml` searches configurations.
"""

import multiprocessing

import numpy as np
from recipe import arguments, claim, figure, mnist, save

import jitnet
from jitnet import callbacks, layers, optimizers

try:
    import optuna
except ImportError:
    raise SystemExit("The search is made by Optuna: pip install optuna") from None

CUSTOMARY = {"learning rate": 1e-3, "first width": 64, "second width": 64, "dropout": 0, "weight decay": 0, "batch": 32}


def network(settings):
    model = jitnet.Sequential([layers.Input((784,))])
    for name in ("first width", "second width"):
        model.add(layers.Dense(settings[name], "relu"))
        model.add(layers.Dropout(settings["dropout"]))
    model.add(layers.Dense(10, "softmax"))
    rule = optimizers.AdamW(settings["learning rate"], weight_decay=settings["weight decay"])
    model.compile(rule, "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def suggested(trial):
    return {
        "learning rate": trial.suggest_float("learning rate", 1e-4, 1e-1, log=True),
        "first width": trial.suggest_int("first width", 16, 256, log=True),
        "second width": trial.suggest_int("second width", 16, 256, log=True),
        "dropout": trial.suggest_float("dropout", 0.0, 0.6),
        "weight decay": trial.suggest_float("weight decay", 1e-4, 1.0, log=True),
        "batch": trial.suggest_categorical("batch", [16, 32, 64, 128]),
    }


def opened(path, seed=None):
    """The study in the journal ``path``."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage = optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(str(path)))
    return optuna.create_study(
        study_name="mnist", storage=storage, load_if_exists=True, sampler=optuna.samplers.TPESampler(seed=seed),
        pruner=optuna.pruners.MedianPruner(n_warmup_steps=3),
    )  # fmt: skip


def data(quick):
    """[(x, y), (x of the test, y of the test)], images (N, 784)."""
    return [(x[:most].reshape(-1, 784), y[:most]) for (x, y), most in zip(mnist(quick), (6000, 10000), strict=True)]


def search(path, seed, trials, epochs, quick):
    """What each process does: its share of the trials."""
    (x, y), _ = data(quick)
    kept = len(x) * 2 // 3

    def objective(trial):
        jitnet.utils.set_random_seed(seed)
        settings = suggested(trial)
        history = network(settings).fit(
            x[:kept], y[:kept], settings["batch"], epochs, validation_data=(x[kept:], y[kept:]), verbose=0,
            callbacks=[callbacks.OptunaPruningCallback(trial, "val_loss")],
        )  # fmt: skip
        return history.history["val_loss"][-1]

    opened(path, seed).optimize(objective, n_trials=trials)


def main():
    given = arguments(__doc__, trials=(80, 8), workers=(4, 2), epochs=(20, 2), seeds=(10, 2))
    given.output.mkdir(parents=True, exist_ok=True)
    path = given.output / "tune.journal"
    path.unlink(missing_ok=True)
    study = opened(path)
    shared = given.trials // given.workers, given.epochs, given.quick
    with multiprocessing.get_context("spawn").Pool(given.workers) as pool:
        pool.starmap(search, [(path, given.seed + i, *shared) for i in range(given.workers)], 1)
    (x, y), test = data(given.quick)
    figures = np.empty((2, given.seeds, 2))
    for i, seed in np.ndindex(2, given.seeds):
        settings = (CUSTOMARY, study.best_params)[i]
        jitnet.utils.set_random_seed(given.seed + seed)
        model = network(settings)
        model.fit(x, y, settings["batch"], given.epochs, verbose=0)
        figures[i, seed] = model.evaluate(*test, verbose=0)
    picture, ((bars, trials),) = figure(1, 2, 10, 4)
    parts = optuna.importance.get_param_importances(study)
    bars.barh(list(parts)[::-1], list(parts.values())[::-1])
    bars.set_xlabel("importance (PED-ANOVA; all together 1)")
    finished, pruned = ([t for t in study.trials if t.state.name == state] for state in ("COMPLETE", "PRUNED"))
    places, values = [t.number for t in finished], [t.value for t in finished]
    trials.plot(places, values, "o", label="trained to the end")
    trials.plot([t.number for t in pruned], [t.value for t in pruned], "x", color="tab:grey", label="pruned")
    trials.step(places, np.minimum.accumulate(values), where="post", color="tab:red", label="best so far")
    trials.set(xlabel="trial", ylabel="cross-entropy on validation data", yscale="log")
    trials.grid(alpha=0.3, which="both")
    trials.legend()
    save(picture, given.output, "tune")
    chosen = ", ".join(f"{name} {value:.3g}" for name, value in study.best_params.items())
    print(f"{len(study.trials)} trials, {len(pruned)} of them pruned; best: {chosen}")
    for name, (loss, accuracy) in zip(("customary", "tuned"), figures.mean(axis=1), strict=True):
        print(f"Test, {name}: accuracy {100 * accuracy:.2f} %, cross-entropy {loss:.3f}")
    claim("The tuned network has the lower cross-entropy on the test.", figures[0, :, 0] - figures[1, :, 0])
    claim("Its accuracy on the test is better, in points.", 100 * (figures[1, :, 1] - figures[0, :, 1]))


if __name__ == "__main__":
    main()
