"""The kernels of jitnet: ``scalar`` functions shared by every target, ``cpu`` twins compiled by Numba."""

if __name__ != "jitnet.kernels":
    raise ImportError("jitnet's kernels are imported as jitnet.kernels, not under the bare name 'kernels'")
