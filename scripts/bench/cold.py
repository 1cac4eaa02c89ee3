"""A fresh process that builds a workload's network in one peer and takes one step; prints the loss, or an output.

    python cold.py PEER WORKLOAD THREADS
"""

import sys
from dataclasses import replace

from peers import PEERS
from workloads import WORKLOADS

peer, workload, threads = sys.argv[1:]
found = WORKLOADS[workload]
found = replace(found, kind="infer") if found.predicts else found
print(PEERS[peer].prepare(found, int(threads)).check(1)[0])
