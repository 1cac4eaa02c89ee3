"""jitnet cache: what the cache of compiled kernels holds, or clear it."""


def run(options) -> int:
    """Print what the cache of compiled code holds, or clear it."""
    from jitnet.files.cache import cache_directory, cached_files, clear_cache, fallbacks, total_bytes

    reasons = fallbacks()
    if options.action == "clear":
        found = clear_cache()
    else:
        found = {kind: (len(paths), total_bytes(paths)) for kind, paths in cached_files().items()}
    counts, sizes = zip(*found.values(), strict=True)
    print(f"{'Removed from' if options.action == 'clear' else 'Cache'}: {cache_directory()}")
    for kind, (count, size) in {**found, "total": (sum(counts), sum(sizes))}.items():
        print(f"  {kind:<29}{count:>6,} files {size / 2**20:>9.2f} MiB")
    if reasons and options.action == "info":
        print("Compiled by Numba, because jitnet's own compiler doesn't take it:", *reasons, sep="\n  ")
    return 0
