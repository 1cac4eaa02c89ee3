"""Methods of a model with an argument ``device``."""

import functools
import inspect

from ..config import using_device


def placed(method):
    """Decorator of a method that runs steps: ``device`` says where, for this call alone."""

    @functools.wraps(method)
    def run(self, *arguments, device=None, **keywords):
        if device is None:
            return method(self, *arguments, **keywords)
        with using_device(device):
            self._quick = None  # made for another device
            return method(self, *arguments, **keywords)

    signature = inspect.signature(method)
    added = inspect.Parameter("device", inspect.Parameter.KEYWORD_ONLY, default=None)
    run.__signature__ = signature.replace(parameters=[*signature.parameters.values(), added])
    return run
