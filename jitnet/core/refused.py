"""What of Keras's API jitnet will not have, and why: for messages, and for the catalogue."""

_NO_VOLUMES = "Images have two dimensions: fold a third one into the batch or the channels."
_NO_FOREIGN = "Layers of other frameworks can't be compiled: write it with jitnet.ops."
_NO_CONTROL = "A step is straight-line: a loop or a choice over tensors is written with ops.where, or in Python."
_NO_COMPLEX = "Tensors are real."
_NO_FACTORISATION = "Factorisations are LAPACK's: call numpy.linalg or scipy.linalg on arrays."
_NO_QUANTISATION = "Weights are float32 or float64 while they are trained."
_NO_TENSORFLOW = "It belongs to TensorFlow's data pipeline."

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
    },
    "optimizer": {
        "LossScaleOptimizer": "Weights and gradients are float32, so that losses need no scaling.",
        "OptimizerMap": "Give every variable's optimizer in a train_step.",
    },
    "initializer": dict.fromkeys(("STFT", "STFTInitializer", "stft"), "Compute spectra before training."),
    "callback": {"OrbaxCheckpoint": "It writes JAX's format: use ModelCheckpoint.",
                 "RemoteMonitor": "Send what you like in a LambdaCallback."},
    "function": {
        **dict.fromkeys(
            ("cond", "custom_gradient", "map", "switch", "vectorized_map"), _NO_CONTROL,
        ),
        "fori_loop": "With a number of turns that is known it is ops.scan(f, init, length=turns).",
        "while_loop": "The number of turns of a loop is known before it begins: see ops.scan.",
        **dict.fromkeys(
            ("angle", "conj", "conjugate", "fft", "fft2", "ifft2", "imag", "irfft", "istft", "real", "rfft", "stft",
             "isreal", "polar", "view_as_complex", "view_as_real"), _NO_COMPLEX,
        ),
        **dict.fromkeys(
            ("cholesky", "cholesky_inverse", "det", "eig", "eigh", "inv", "jvp", "lstsq", "lu_factor", "matrix_rank",
             "logdet", "pinv", "qr", "slogdet", "solve", "solve_triangular", "svd"), _NO_FACTORISATION,
        ),
        "extract_patches_3d": _NO_VOLUMES,
        "FeatureSpace": "Call layers.StringLookup and its kin on the columns, and concatenate what they return.",
        **dict.fromkeys(("bitwise_and", "bitwise_invert", "bitwise_left_shift", "bitwise_not", "bitwise_or",
                         "bitwise_right_shift", "bitwise_xor", "left_shift", "right_shift"),
                        "Bits are NumPy's, on arrays before the step."),
    },
}  # fmt: skip

ARGUMENTS = {
    "autocast": "A layer's inputs are cast to its dtype where they differ in kind: there is nothing to switch off.",
    "input_tensor": "Give tensor.",
    "lora_alpha": "Low-rank adaptation is for weights of others.",
    "lora_rank": "Low-rank adaptation is for weights of others.",
    "loss_scale_factor": "Weights and gradients are float32, so that losses need no scaling.",
    "quantization_config": _NO_QUANTISATION,
    "ragged": "Tensors are rectangular: pad them, or give an axis the length None.",
    "sparse": "Tensors are dense: an Embedding takes the place of sparse one-hot vectors.",
}


def why_refused(kind: str, name: str) -> str | None:
    """Why there is no ``kind`` of this name, or None if nobody has said that there won't be one."""
    return (ARGUMENTS if kind == "argument" else NAMES.get(kind, {})).get(name)
