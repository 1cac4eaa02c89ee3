"""Things that are made in threads or processes before they are asked for."""

from collections import deque

__all__ = ["made_ahead"]


def made_ahead(function, items, workers: int = 1, most: int = 1, pool=None):
    """Yield ``function(item)`` of every item, in their order, while workers make up to ``most`` of the next ones.

    pool: an executor that has the workers; by default threads.  An error reaches whoever asks for the thing that it
    kept from being made; closing the generator waits for what is being made, and begins nothing more.
    """
    if pool is None:
        from concurrent.futures import ThreadPoolExecutor

        pool = ThreadPoolExecutor(workers, "jitnet-ahead")
    waiting: deque = deque()
    try:
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) > most:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
