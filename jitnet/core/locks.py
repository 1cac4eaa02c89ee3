"""The lock of whoever builds models and compiles their steps."""

import threading

from ..kernels.locks import across_forks

# held while layers are built, traced and their steps written and compiled: one thread at a time changes the graph
building = across_forks(threading.RLock())
