"""Models: ``Sequential``, and ``Model`` for any graph of layers."""

import json

from .. import saving
from ..core.errors import invalid, module_dir, module_getattr
from .cloning import clone_model
from .model import Model
from .sequential import Sequential

__all__ = ["Model", "Sequential", "clone_model", "load_model", "model_from_json", "save_model"]

load_model = saving.load_model
save_model = saving.save_model


def model_from_json(json_string: str, custom_objects=None) -> Model:
    """The model that ``to_json`` described, with new weights.

    Raises:
        ValueError: what is no such description, or an unknown name in it.
    """
    try:
        config = json.loads(json_string)
    except (TypeError, ValueError) as error:
        raise ValueError(f"model_from_json expects what to_json returned: {error}. Received: {json_string!r}") from None
    model = saving.deserialize_keras_object(config, custom_objects)
    if not isinstance(model, Model):
        raise invalid("model_from_json expects the description of a model.", json_string=json_string)
    return model


__getattr__ = module_getattr(__name__, "name")
__dir__ = module_dir(__name__)
