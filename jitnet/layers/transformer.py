"""Blocks of the Transformer: TransformerEncoder, TransformerDecoder."""

import math

from .. import activations, initializers, ops
from ..core import checks
from ..core.errors import invalid
from ..core.operations.base import display
from ..core.operations.decoding import CachedAttention, CacheStore
from ..core.operations.shape import Filled
from ..core.values import Value
from ..ops.attention import attention
from .attention import MultiHeadAttention, as_bool, both
from .base import Layer
from .core import Dense
from .normalization import LayerNormalization
from .regularization import Dropout


class _Block(Layer):
    """What both blocks share: attention and a network of two layers for each step, each with a way around it."""

    supports_masking = True

    def __init__(
        self, intermediate_dim, num_heads, dropout=0.0, activation="relu", layer_norm_epsilon=1e-5,
        kernel_initializer="glorot_uniform", bias_initializer="zeros", normalize_first=False, **kwargs,
    ):  # fmt: skip
        super().__init__(**kwargs)
        kind = type(self).__name__
        self.intermediate_dim = checks.integer(kind, "intermediate_dim", intermediate_dim, least=1)
        self.num_heads = checks.integer(kind, "num_heads", num_heads, least=1)
        self.dropout = checks.number(kind, "dropout", dropout, least=0, below=1)
        self.activation = activations.get(activation)
        self.layer_norm_epsilon = checks.number(kind, "layer_norm_epsilon", layer_norm_epsilon, least=0)
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self.normalize_first = checks.boolean(kind, "normalize_first", normalize_first)

    def _build_attention(self, name: str, shape, other_shape) -> None:
        """Attention, a normalisation and dropout, as attributes that begin with ``name``."""
        if len(shape) != 3 or shape[-1] < self.num_heads:
            raise invalid(
                f"{type(self).__name__} expects an input (batch, steps, features), of at least as many features as "
                f"heads, {self.num_heads}.",
                shape=display(shape),
            )
        layer = MultiHeadAttention(
            self.num_heads, shape[-1] // self.num_heads, dropout=self.dropout, **self._initializers(),
            name=f"{name}_layer", dtype=self._policy,
        )  # fmt: skip
        layer.build(shape, other_shape)
        setattr(self, f"{name}_layer", layer)
        self._build_around(name, shape)

    def _build_around(self, name: str, shape) -> None:
        norm = LayerNormalization(epsilon=self.layer_norm_epsilon, name=f"{name}_layer_norm", dtype=self._policy)
        norm.build(shape)
        setattr(self, f"{name}_layer_norm", norm)
        setattr(self, f"{name}_dropout", Dropout(self.dropout, name=f"{name}_dropout", dtype=self._policy))

    def _build_feedforward(self, shape) -> None:
        self._build_around("feedforward", shape)
        self.feedforward_intermediate_dense = Dense(
            self.intermediate_dim, self.activation, **self._initializers(), name="feedforward_intermediate_dense",
            dtype=self._policy,
        )  # fmt: skip
        self.feedforward_output_dense = Dense(
            shape[-1], **self._initializers(), name="feedforward_output_dense", dtype=self._policy
        )
        self.feedforward_intermediate_dense.build(shape)
        self.feedforward_output_dense.build((*shape[:-1], self.intermediate_dim))

    def _initializers(self) -> dict:
        return {"kernel_initializer": self.kernel_initializer, "bias_initializer": self.bias_initializer}

    def _around(self, name: str, x, training, function):
        """x + dropout(function(x)), normalised after the sum or, with normalize_first, before the function.

        function: returns a tensor and something else, which is handed on.
        """
        norm, dropout = getattr(self, f"{name}_layer_norm"), getattr(self, f"{name}_dropout")
        y, other = function(norm(x) if self.normalize_first else x)
        y = dropout(y, training=training) + x
        return y if self.normalize_first else norm(y), other

    def _feedforward(self, x, training):
        def function(x):
            return self.feedforward_output_dense(self.feedforward_intermediate_dense(x)), None

        return self._around("feedforward", x, training, function)[0]

    def _mask(self, name: str, padding_mask, attention_mask, queries: int, keys: int):
        """One mask (batch, queries, keys) of one of steps and one of pairs, either of which may be None."""
        kind = type(self).__name__
        padding_mask, attention_mask = as_bool(padding_mask), as_bool(attention_mask)
        if padding_mask is not None:
            if tuple(padding_mask.shape[1:]) != (keys,):
                expected = f"{kind} expects {name}padding_mask of shape (batch, {keys})."
                raise invalid(expected, **{f"{name}padding_mask": display(padding_mask.shape)})
            first = -1 if padding_mask.batched else padding_mask.shape[0]
            padding_mask = ops.reshape(padding_mask, (first, 1, keys))
        if attention_mask is not None and tuple(attention_mask.shape[1:]) != (queries, keys):
            expected = f"{kind} expects {name}attention_mask of shape (batch, {queries}, {keys})."
            raise invalid(expected, **{f"{name}attention_mask": display(attention_mask.shape)})
        return both(padding_mask, attention_mask)

    def get_config(self):
        return {
            **super().get_config(), "intermediate_dim": self.intermediate_dim, "num_heads": self.num_heads,
            "dropout": self.dropout, "activation": activations.serialize(self.activation),
            "layer_norm_epsilon": self.layer_norm_epsilon,
            "kernel_initializer": initializers.serialize(self.kernel_initializer),
            "bias_initializer": initializers.serialize(self.bias_initializer), "normalize_first": self.normalize_first,
        }  # fmt: skip


class TransformerEncoder(_Block):
    """Self-attention, then a network of two layers for each step; both are added to what they are given.

    (Vaswani et al. 2017, section 3.1; with ``normalize_first`` Xiong et al. 2020.)  Input (batch, steps, features),
    output the same; weights: those of ``self_attention_layer``, a MultiHeadAttention with features // num_heads for
    each head, ``self_attention_layer_norm``, ``feedforward_layer_norm``, ``feedforward_intermediate_dense``
    and ``feedforward_output_dense``.

    Arguments:
        intermediate_dim: units of the first of the two layers.
        num_heads: of the attention.
        dropout: which part of the attention's probabilities, and of what is added, is dropped in training.
        activation: after the first of the two layers, a name or a function.
        layer_norm_epsilon: of the normalisations.
        kernel_initializer, bias_initializer: of attention and both layers, names or objects.
        normalize_first: whether what attention and layers are given is normalised, or the sums after them.
    """

    example = {
        "arguments": {"intermediate_dim": 5, "num_heads": 2, "activation": "gelu", "normalize_first": True},
        "input_shape": (3, 4),
    }

    def build(self, input_shape):
        self._build_attention("self_attention", input_shape, input_shape)
        self._build_feedforward(input_shape)

    def call(self, inputs, padding_mask=None, attention_mask=None, training=None, return_attention_scores=False):
        """The block's output, and if wished the probabilities (batch, heads, steps, steps).

        padding_mask: (batch, steps), attention_mask: (batch, steps, steps), both true where attention may look; without
        the former, the mask that the input has counts.
        """
        steps = inputs.shape[1]
        padding_mask = inputs.mask if padding_mask is None else padding_mask
        mask = self._mask("", padding_mask, attention_mask, steps, steps)

        def attend(x):
            found = self.self_attention_layer(
                x, x, attention_mask=mask, return_attention_scores=return_attention_scores, training=training
            )
            return found if return_attention_scores else (found, None)

        x, scores = self._around("self_attention", inputs, training, attend)
        x = self._feedforward(x, training)
        return (x, scores) if return_attention_scores else x


class TransformerDecoder(_Block):
    """Causal self-attention, attention to an encoder's output if there is one, then a network for each step.

    (Vaswani et al. 2017, section 3.1.)  Input (batch, steps, features), output the same; weights as those of
    TransformerEncoder, with those of ``cross_attention_layer`` and ``cross_attention_layer_norm`` after the
    normalisation of the self-attention, if the layer's first call has an ``encoder_sequence``.

    With a cache, (batch, 2, length, num_heads, features // num_heads), the call is for some steps of a longer sequence:
    their keys and values are added to the cache from ``self_attention_cache_update_index`` on, a number or integers
    (batch,), and attention sees the steps in it up to each one's own that the decoder's masks let it see, which then
    are of the cache's steps.  ``jitnet.text.generate`` does that by itself.  There is no gradient through a cache.

    Arguments:
        intermediate_dim, num_heads, dropout, activation, layer_norm_epsilon, kernel_initializer, bias_initializer,
            normalize_first: as in TransformerEncoder.
    """

    example = {"arguments": {"intermediate_dim": 5, "num_heads": 2, "normalize_first": True}, "input_shape": (3, 4)}

    def build(self, decoder_sequence_shape, encoder_sequence_shape=None):
        self._build_attention("self_attention", decoder_sequence_shape, decoder_sequence_shape)
        self.has_cross_attention = encoder_sequence_shape is not None
        if self.has_cross_attention:
            self._build_attention("cross_attention", decoder_sequence_shape, encoder_sequence_shape)
        self._build_feedforward(decoder_sequence_shape)

    def call(
        self, decoder_sequence, encoder_sequence=None, decoder_padding_mask=None, decoder_attention_mask=None,
        encoder_padding_mask=None, encoder_attention_mask=None, self_attention_cache=None,
        self_attention_cache_update_index=None, cross_attention_cache=None, cross_attention_cache_update_index=None,
        use_causal_mask=True, training=None,
    ):  # fmt: skip
        """The block's output; with a cache (output, new cache), with both (output, new cache, new cross cache).

        encoder_sequence: (batch, keys, features); decoder_padding_mask: (batch, steps), encoder_padding_mask:
        (batch, keys), decoder_attention_mask: (batch, steps, steps), encoder_attention_mask: (batch, steps, keys), true
        where attention may look; with a self_attention_cache the decoder's are (batch, length) and (batch, steps,
        length), and what a step gets that sees none is zeros.  cross_attention_cache: (batch, 2, keys, num_heads,
        features // num_heads); without an update index it has the keys and values of the encoder's output already,
        with index 0 they are put there.
        Without padding masks, the masks count that both sequences have.
        """
        kind, x = type(self).__name__, decoder_sequence
        given = encoder_sequence is not None or cross_attention_cache is not None
        if given != self.has_cross_attention:
            first = "with" if self.has_cross_attention else "without"
            raise invalid(f"{kind} was built {first} an encoder_sequence.", encoder_sequence=encoder_sequence)
        if (self_attention_cache is None) != (self_attention_cache_update_index is None):
            raise invalid(
                f"{kind} takes self_attention_cache and self_attention_cache_update_index together.",
                self_attention_cache_update_index=self_attention_cache_update_index,
            )
        steps = x.shape[1]
        if decoder_padding_mask is None and self_attention_cache is None:
            decoder_padding_mask = x.mask
        if encoder_padding_mask is None and encoder_sequence is not None:
            encoder_padding_mask = encoder_sequence.mask
        if self_attention_cache is not None and not use_causal_mask:
            raise invalid(
                f"{kind} with a cache sees steps up to its own only: use_causal_mask is True.",
                use_causal_mask=use_causal_mask,
            )
        seen = steps if self_attention_cache is None else self_attention_cache.shape[2]
        mask = self._mask("decoder_", decoder_padding_mask, decoder_attention_mask, steps, seen)

        def attend(x):
            layer = self.self_attention_layer
            if self_attention_cache is not None:
                return cached_attention(layer, x, self_attention_cache, self_attention_cache_update_index, mask)
            return layer(x, x, attention_mask=mask, training=training, use_causal_mask=use_causal_mask), None

        x, cache = self._around("self_attention", x, training, attend)
        cross_cache = None
        if self.has_cross_attention:

            def attend_to_encoder(x):
                return self._cross(
                    x, encoder_sequence, encoder_padding_mask, encoder_attention_mask, cross_attention_cache,
                    cross_attention_cache_update_index, training,
                )  # fmt: skip

            x, cross_cache = self._around("cross_attention", x, training, attend_to_encoder)
        x = self._feedforward(x, training)
        caches = [found for found in (cache, cross_cache) if found is not None]
        return (x, *caches) if caches else x

    def _cross(self, x, sequence, padding_mask, attention_mask, cache, index, training):
        layer, kind = self.cross_attention_layer, type(self).__name__
        if cache is None:
            mask = self._mask("encoder_", padding_mask, attention_mask, x.shape[1], sequence.shape[1])
            return layer(x, sequence, attention_mask=mask, training=training), None
        mask = self._mask("encoder_", padding_mask, attention_mask, x.shape[1], cache.shape[2])
        if index is not None:
            if sequence is None or sequence.shape[1] != cache.shape[2]:
                raise invalid(
                    f"{kind} puts an encoder_sequence of as many steps into a cross_attention_cache.",
                    encoder_sequence=sequence, cross_attention_cache=display(cache.shape),
                )  # fmt: skip
            keys, values = layer.key_dense(sequence), layer.value_dense(sequence)
            cache = CacheStore()(cache, keys, values, _as_position(index))
        keys, values = (ops.squeeze(part, 1) for part in ops.split(cache, 2, axis=1))
        mask = None if mask is None else ops.expand_dims(mask, 1)
        found = attention(layer.query_dense(x), keys, values, mask=mask)[0]
        return layer.output_dense(found), cache


def cached_attention(layer, x, cache, position, mask=None, donated: bool = False):
    """Causal self-attention of new steps by a MultiHeadAttention: (output, cache with their keys and values).

    x: (batch, steps, features); position: of the first of them, a number or integers (batch,); mask: (batch, 1 or
    steps, length) of bool, which steps of the cache may be seen, or None for all.
    """
    position = _as_position(position)
    cache = CacheStore(donated)(cache, layer.key_dense(x), layer.value_dense(x), position)
    query = layer.query_dense(x)
    masks = [] if mask is None else [mask]
    found = CachedAttention(1 / math.sqrt(query.shape[-1]))(query, cache, position, *masks)
    return layer.output_dense(found), cache


def _as_position(index):
    """A number as integers (batch,)."""
    return (
        index
        if isinstance(index, Value)
        else Filled((), float(checks.integer("A cache", "index", index, 0)), "int64")()
    )
