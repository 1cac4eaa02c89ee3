"""The kernels of jitnet: ``scalar`` functions shared by every target, their ``cpu`` and ``cuda`` twins."""

if __name__ != "jitnet.kernels":
    raise ImportError("jitnet's kernels are imported as jitnet.kernels, not under the bare name 'kernels'")
