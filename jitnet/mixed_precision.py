"""The dtype policy by the names that older Keras scripts use: ``keras.mixed_precision.set_global_policy``."""

from jitnet.config import dtype_policy, set_dtype_policy
from jitnet.core.errors import module_dir, module_getattr

global_policy, set_global_policy = dtype_policy, set_dtype_policy

__all__ = ["dtype_policy", "global_policy", "set_dtype_policy", "set_global_policy"]

__getattr__ = module_getattr(__name__, "policy")
__dir__ = module_dir(__name__)
