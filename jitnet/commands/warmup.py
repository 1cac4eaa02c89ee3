"""jitnet warmup: compile what the recipes' models need."""

from jitnet import _recipes


def run(options) -> int:
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
