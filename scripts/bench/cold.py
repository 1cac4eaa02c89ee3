"""A fresh process that builds a workload's network in one peer and takes one step; prints the loss.

    python cold.py PEER WORKLOAD THREADS
"""

import sys

from peers import PEERS
from workloads import WORKLOADS

peer, workload, threads = sys.argv[1:]
print(PEERS[peer].prepare(WORKLOADS[workload], int(threads)).check(1)[0])
