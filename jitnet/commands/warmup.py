"""jitnet warmup: compile what the recipes' models need."""

from jitnet import configuration
from jitnet.core.errors import unknown_name


def run(options) -> int:
    """Compile what the recipes' models need; a line per model."""
    if options.dataset not in configuration.IMAGE_SHAPES:
        raise unknown_name("dataset of pictures", options.dataset, configuration.IMAGE_SHAPES)
    names = configuration.model_names() if options.model == "all" else [options.model]
    flags = {"batch_size": options.batch_size} if options.batch_size is not None else {}
    configs = [configuration.resolve({"dataset": options.dataset}, {"model.name": name, **flags}) for name in names]

    import time

    import jitnet

    for config in configs:
        name = config["model"]["name"]
        shape = configuration.IMAGE_SHAPES[config["dataset"]]
        print(f"{config['dataset']}, {name}, batch {config['batch_size']}: ", end="", flush=True)
        start = time.perf_counter()
        try:
            model = configuration.build_model(config, shape, 1, configuration.known_classes(config))
        except ValueError as error:
            if len(configs) == 1:
                raise
            print(f"left out: {error}")
            continue
        jitnet.warmup(model, config["batch_size"])
        print(f"ready after {time.perf_counter() - start:.1f} s")
    return 0
