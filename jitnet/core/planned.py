"""What of Keras's API is planned and not there yet, for messages: names by kind, and arguments of constructors."""

LAYERS = (
    "AdditiveAttention", "Attention", "Average", "AveragePooling1D", "Bidirectional", "Conv1D", "Conv1DTranspose",
    "Conv2DTranspose", "Cropping2D", "Dot", "ELU", "Embedding", "GaussianNoise", "GlobalAveragePooling1D",
    "GlobalMaxPooling1D", "GroupNormalization", "GRU", "Identity", "LayerNormalization", "LeakyReLU", "LSTM", "Masking",
    "MaxPooling1D", "Maximum", "Minimum", "MultiHeadAttention", "Normalization", "Permute", "PReLU", "RepeatVector",
    "Rescaling", "RMSNormalization", "RNN", "SeparableConv2D", "SimpleRNN", "SpatialDropout2D", "Subtract",
    "TimeDistributed", "UpSampling2D", "ZeroPadding1D",
)  # fmt: skip
OPTIMIZERS = ("Adadelta", "Adagrad", "Adamax", "AdamW", "Ftrl", "Lion", "Nadam", "RMSprop")
LOSSES = (
    "BinaryFocalCrossentropy", "CategoricalFocalCrossentropy", "CategoricalHinge", "CosineSimilarity", "Hinge", "Huber",
    "KLDivergence", "LogCosh", "MeanAbsolutePercentageError", "MeanSquaredLogarithmicError", "Poisson", "SquaredHinge",
)  # fmt: skip
METRICS = (
    "Accuracy", "AUC", "CosineSimilarity", "F1Score", "FalseNegatives", "FalsePositives", "MeanIoU",
    "Precision", "R2Score", "Recall", "RootMeanSquaredError", "Sum", "TopKCategoricalAccuracy", "TrueNegatives",
    "TruePositives",
)  # fmt: skip
CALLBACKS = ("BackupAndRestore", "SwapEMAWeights", "TensorBoard")
FUNCTIONS = (
    "argmax", "clip", "dot_product_attention", "einsum", "erf", "exp2", "expand_dims", "expm1", "layer_normalization",
    "log1p", "logsumexp", "min", "moments", "ones_like", "prod", "rsqrt", "split", "squeeze", "stack", "std",
    "take", "var", "where", "zeros_like",
)  # fmt: skip

NAMES = {
    "layer": LAYERS, "optimizer": OPTIMIZERS, "loss": LOSSES, "metric": METRICS, "callback": CALLBACKS,
    "function": FUNCTIONS,
}  # fmt: skip
ARGUMENTS = (
    "activity_regularizer", "amsgrad", "beta_constraint", "bias_constraint", "clipnorm", "clipvalue",
    "depthwise_constraint", "ema_momentum", "ema_overwrite_frequency", "gamma_constraint", "global_clipnorm",
    "gradient_accumulation_steps", "kernel_constraint", "use_ema", "weight_decay",
)  # fmt: skip


def is_planned(kind: str, name: str) -> bool:
    """Whether ``name``, however it is spelled, is a planned ``kind``; kind "argument": of any constructor."""
    names = ARGUMENTS if kind == "argument" else NAMES.get(kind, ())
    return plain(name) in {plain(planned) for planned in names}


def plain(name: str) -> str:
    """A name without what spellings differ in: case and underscores."""
    return name.lower().replace("_", "")
