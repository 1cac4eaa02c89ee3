"""Callbacks: objects whose hooks the training loop calls, with Keras 3's names and arguments."""

from jitnet.callbacks.backup_and_restore import BackupAndRestore
from jitnet.callbacks.base import Callback
from jitnet.callbacks.callback_list import CallbackList
from jitnet.callbacks.checkpoints import ModelCheckpoint
from jitnet.callbacks.csv_logger import CSVLogger
from jitnet.callbacks.lambda_callback import LambdaCallback
from jitnet.callbacks.learning_rate import LearningRateScheduler
from jitnet.callbacks.monitors import EarlyStopping, ReduceLROnPlateau
from jitnet.callbacks.progress import History, ProgbarLogger
from jitnet.callbacks.swap_ema_weights import SwapEMAWeights
from jitnet.callbacks.tensorboard import TensorBoard
from jitnet.callbacks.terminate_on_nan import TerminateOnNaN
from jitnet.core.errors import module_dir, module_getattr

__all__ = [
    "BackupAndRestore",
    "CSVLogger",
    "Callback",
    "CallbackList",
    "EarlyStopping",
    "History",
    "LambdaCallback",
    "LearningRateScheduler",
    "ModelCheckpoint",
    "ProgbarLogger",
    "ReduceLROnPlateau",
    "SwapEMAWeights",
    "TensorBoard",
    "TerminateOnNaN",
]

__getattr__ = module_getattr(__name__, "callback")
__dir__ = module_dir(__name__)
