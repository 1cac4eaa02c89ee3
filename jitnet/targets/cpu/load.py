"""The module of a step, made of its source."""

import hashlib
import weakref

from ...kernels.cpu.runtime.generated import end_with_last_use, generated_module, specialised_module

_MODULES = weakref.WeakValueDictionary()  # what steps use; a module ends with the last of them


def load(source: str, functions: dict, generated) -> object:
    """The module of ``source``; what Numba compiles of it is kept in the user's cache.

    functions: users' own @njit functions by name; generated: the specialised kernels that the source imports.
    """
    specialised = [specialised_module(kernel.source) for kernel in generated]
    digest = hashlib.sha256(source.encode()).hexdigest()[:20]
    own = {}
    if functions:
        from ...kernels.cpu.runtime.dispatchers import user_kernel

        own = {name: user_kernel(function, name) for name, function in functions.items()}
    key = (digest, tuple(sorted((name, id(kernel)) for name, kernel in own.items())))
    module = _MODULES.get(key)
    if module is None:
        module = generated_module(f"jitnet_step_{digest}", source)
        vars(module).update(own)  # which live as long as the step
        module.specialised = specialised  # these, too
        end_with_last_use(module)
        _MODULES[key] = module
    return module
