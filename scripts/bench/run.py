"""Times jitnet against its peers and writes RESULTS.md, results.json and results.png.

    python scripts/bench/run.py [--workloads NAME ...] [--peers NAME ...] [--threads 2] [--quick] [--full]

Every peer runs in a process of its own.  jitnet and a peer take turns (A B A B ...); what is reported are medians,
interquartile ranges, and the median of the ratios pair by pair.  Before anything is timed, both must give the same
numbers: losses of the first steps from the same weights, or outputs.
"""

import argparse
import datetime
import os
import sys
from pathlib import Path

import measure
import report
from peers import PEERS
from workloads import choose

import jitnet

HERE = Path(__file__).resolve().parent


def parse(arguments=None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--workloads", nargs="+", default=[], metavar="NAME", help="names or families; all by default")
    parser.add_argument("--peers", nargs="+", default=[], metavar="NAME", help=", ".join(p for p in PEERS))
    parser.add_argument("--threads", type=int, default=min(2, os.cpu_count() or 1))
    parser.add_argument("--quick", action="store_true", help="few and short runs: to try things out")
    parser.add_argument("--full", action="store_true", help="also torch.compile and other slow peers")
    parser.add_argument("--output", type=Path, default=HERE, help="folder for the results")
    parser.add_argument("--report", action="store_true", help="only write RESULTS.md anew from results.json")
    options = parser.parse_args(arguments)
    if options.threads < 1 or options.threads > (os.cpu_count() or 1):
        parser.error(f"this machine has {os.cpu_count()} cores. Received: --threads {options.threads}")
    unknown = set(options.peers) - set(PEERS)
    if unknown:
        parser.error(f"unknown peers: {', '.join(sorted(unknown))}. There are: {', '.join(PEERS)}")
    try:
        options.chosen = choose(options.workloads)
    except ValueError as error:
        parser.error(str(error))
    return options


def peers_of(workload, options) -> list[str]:
    """The peers to run a workload against: those asked for, or all but the slow ones."""
    known = (*workload.peers, *workload.slow_peers)
    if options.peers:
        return [peer for peer in known if peer in options.peers]
    return list(known if options.full else workload.peers)


def main(arguments=None) -> None:
    options = parse(arguments)
    results = report.Results(options.output)
    if not options.report:
        if hasattr(os, "sched_setaffinity"):  # the peers inherit it: XLA, for one, takes no other limit
            os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: options.threads])
        results.begin(options.threads, options.quick)
        effort = measure.QUICK if options.quick else measure.THOROUGH
        with measure.Processes(options.threads) as processes:
            results.data["peak"] = measure.peak(processes, options.threads)
            for workload in options.chosen:
                try:
                    jitnet.config.check_policy(workload.policy)
                except ValueError as error:
                    print(f"{workload.name} is left out: {error}", file=sys.stderr)
                    continue
                for peer in peers_of(workload, options):
                    missing = PEERS[peer].missing()
                    if missing:
                        print(f"{workload.name}: {peer} is left out, {missing} is not installed", file=sys.stderr)
                        continue
                    try:
                        record = measure.measure(workload, peer, processes, options.threads, effort)
                    except measure.WorkerError as error:  # one that fails must not cost the others
                        print(f"{workload.name}: {peer} failed\n{error}", file=sys.stderr)
                        processes.close()  # one of them may be dead
                        continue
                    record["date"] = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M")
                    results.add(record)
                    print(report.line(record), flush=True)
                    results.save()
                processes.finish(workload)
    results.write()


if __name__ == "__main__":
    main()
