"""What of Keras's API jitnet will not have, and why: for messages, and for the catalogue."""

_NO_VOLUMES = "Images have two dimensions: fold a third one into the batch or the channels."
_NO_FOREIGN = "Layers of other frameworks can't be compiled: write it with jitnet.ops."
_NO_CONTROL = "Gradients are derived from operations, and loops are ops.scan: an own one is a CustomOperation's."
_NO_COMPLEX = "Tensors are real."
_NO_FACTORISATION = "Factorisations are LAPACK's: call numpy.linalg or scipy.linalg on arrays."
_NO_QUANTISATION = "Weights are float32 or float64 while they are trained."
_NO_TENSORFLOW = "It belongs to TensorFlow's data pipeline."
_NO_CHANGE = "Change the arrays before training, or write a layer with jitnet.ops; RandAugment has six changes."
_NO_SOUND = "Read sounds with scipy.io.wavfile, and give fit arrays or a PyDataset."
_NO_BOXES = "Boxes around things are lists of any length: pad them to arrays."
_NO_KERNEL = "A step has no kernel for it: call NumPy's or SciPy's on arrays before."
_NO_SCALING = "Weights and gradients are float32, so that losses need no scaling."
_ATTENTION_CHOOSES = "Attention has one kernel, which never holds all scores: there is nothing to switch."

NAMES = {
    "layer": {
        **dict.fromkeys(
            ("AdaptiveAveragePooling3D", "AdaptiveMaxPooling3D", "AveragePooling3D", "AvgPool3D", "Conv3D",
             "Conv3DTranspose", "ConvLSTM3D", "Convolution3D", "Convolution3DTranspose", "Cropping3D",
             "GlobalAveragePooling3D", "GlobalAvgPool3D", "GlobalMaxPool3D", "GlobalMaxPooling3D", "MaxPool3D",
             "MaxPooling3D", "SpatialDropout3D", "UpSampling3D", "ZeroPadding3D"), _NO_VOLUMES,
        ),
        **dict.fromkeys(("FlaxLayer", "JaxLayer", "TFSMLayer", "TorchModuleWrapper"), _NO_FOREIGN),
        **dict.fromkeys(("ConvLSTM1D", "ConvLSTM2D"), "Write it as a cell of your own."),
        **dict.fromkeys(("MelSpectrogram", "STFTSpectrogram"), "Compute spectra before training, with scipy.signal."),
        "HashedCrossing": _NO_TENSORFLOW,
        **dict.fromkeys(
            ("AugMix", "AutoContrast", "ContrastLimitedAdaptiveHistogramEqualization", "Equalization",
             "RandomColorDegeneration", "RandomElasticTransform", "RandomInvert", "RandomPosterization",
             "RandomSharpness", "Solarization"), _NO_CHANGE,
        ),
        "MaxNumBoundingBoxes": _NO_BOXES,
    },
    "optimizer": {
        "LossScaleOptimizer": _NO_SCALING,
        "MultiOptimizer": "Give every variable's optimizer in a train_step, or a layer learning_rate_multiplier.",
        "ScheduleFreeAdamW": "It has other weights in training than after it: use AdamW, with use_ema=True.",
        "legacy": "Keras 2's optimizers: those of jitnet.optimizers have their names.",
        "OptimizerMap": "Give every variable's optimizer in a train_step.",
    },
    "policy": {
        **dict.fromkeys(("DTypePolicy", "Policy"), "A policy is its name, a string."),
        "LossScaleOptimizer": _NO_SCALING,
    },
    "initializer": dict.fromkeys(("STFT", "STFTInitializer", "stft"), "Compute spectra before training."),
    "callback": {"OrbaxCheckpoint": "It writes JAX's format: use ModelCheckpoint.",
                 "RemoteMonitor": "Send what you like in a LambdaCallback."},
    "function": {
        **dict.fromkeys(
            ("custom_gradient",), _NO_CONTROL,
        ),
        **dict.fromkeys(
            ("angle", "conj", "conjugate", "fft", "fft2", "ifft2", "imag", "irfft", "istft", "real", "rfft", "stft",
             "isreal", "polar", "view_as_complex", "view_as_real"), _NO_COMPLEX,
        ),
        **dict.fromkeys(
            ("cholesky", "cholesky_inverse", "det", "eig", "eigh", "inv", "jvp", "lstsq", "lu_factor", "matrix_rank",
             "logdet", "pinv", "qr", "slogdet", "solve", "solve_triangular", "svd"), _NO_FACTORISATION,
        ),
        "extract_patches_3d": _NO_VOLUMES,
        **dict.fromkeys(("elastic_transform", "scale_and_translate"), "Use ops.image.resize and affine_transform."),
        "erfinv": _NO_KERNEL,
        "numpy": "Its functions are jitnet.ops's own.",
        "Config": "A dict does the same.",
        "FeatureSpace": "Give each column its layer: Normalization, StringLookup, IntegerLookup, Discretization.",
        **dict.fromkeys(("audio_dataset_from_directory",), _NO_SOUND),
        "bounding_boxes": _NO_BOXES,
        "legacy": "Keras 2's: files of models are safetensors here.",
        "KerasFileEditor": "Files of models are safetensors: edit them with the package safetensors.",
        **dict.fromkeys(
            ("disable_interactive_logging", "enable_interactive_logging", "is_interactive_logging_enabled"),
            "Give verbose to fit, evaluate and predict: 0, 1 or 2.",
        ),
        **dict.fromkeys(("bitwise_and", "bitwise_invert", "bitwise_left_shift", "bitwise_not", "bitwise_or",
                         "bitwise_right_shift", "bitwise_xor", "left_shift", "right_shift"),
                        "Bits are NumPy's, on arrays before the step."),
    },
    "setting": {
        **dict.fromkeys(
            ("disable_flash_attention", "enable_flash_attention", "is_flash_attention_enabled"), _ATTENTION_CHOOSES,
        ),
        **dict.fromkeys(
            ("disable_interactive_logging", "enable_interactive_logging", "is_interactive_logging_enabled"),
            "Give verbose to fit, evaluate and predict: 0, 1 or 2.",
        ),
        **dict.fromkeys(
            ("disable_traceback_filtering", "enable_traceback_filtering", "is_traceback_filtering_enabled"),
            "Tracebacks are always whole.",
        ),
        "enable_unsafe_deserialization": "A file holds no code, so that loading one is never unsafe.",
        "is_nnx_enabled": "It belongs to JAX.",
        **dict.fromkeys(
            ("max_epochs", "max_steps_per_epoch", "set_max_epochs", "set_max_steps_per_epoch"),
            "Give epochs and steps_per_epoch to fit.",
        ),
        "set_backend": "There is one: jitnet.",
    },
    "name": {  # of keras itself
        "name_scope": "The name of a weight begins with that of its layer: give names to layers.",
        **dict.fromkeys(("remat", "RematScope"), 'compile(memory="low") computes activations again.'),
        "InputSpec": "It is layers.InputSpec.",
        "Regularizer": "It is regularizers.Regularizer.",
    },
}  # fmt: skip

ARGUMENTS = {
    "autocast": "A layer's inputs are cast to its dtype where they differ in kind: there is nothing to switch off.",
    "gptq_unpacked_column_size": _NO_QUANTISATION,
    "input_tensor": "Give tensor.",
    "lora_alpha": "Low-rank adaptation is for weights of others.",
    "lora_rank": "Low-rank adaptation is for weights of others.",
    "loss_scale_factor": _NO_SCALING,
    "quantization_config": _NO_QUANTISATION,
    "ragged": "Tensors are rectangular: pad them, or give an axis the length None.",
    "sparse": "Tensors are dense: an Embedding takes the place of sparse one-hot vectors.",
}


def why_refused(kind: str, name: str) -> str | None:
    """Why there is no ``kind`` of this name, or None if nobody has said that there won't be one."""
    return (ARGUMENTS if kind == "argument" else NAMES.get(kind, {})).get(name)
