"""One function in several threads that start together."""

import threading
from concurrent.futures import ThreadPoolExecutor


def at_once(function, arguments) -> list:
    """The results of ``function`` for each argument, called by as many threads that start together."""
    start = threading.Barrier(len(arguments))

    def run(argument):
        start.wait()
        return function(argument)

    with ThreadPoolExecutor(len(arguments)) as pool:
        return list(pool.map(run, arguments))
