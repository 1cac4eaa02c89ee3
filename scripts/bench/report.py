"""Results: kept in results.json, written out as RESULTS.md and results.png."""

import importlib.metadata
import json
import math
import os
import platform
from pathlib import Path

from peers import PEERS
from workloads import CONVOLUTIONS, PASSES, SWEEP_TARGET, WORKLOADS

TIE = 0.1  # the machine may be shared: a smaller gap says nothing

# why jitnet loses a row, or misses its ratio: by workload, or by the start of its name
CAUSES = {
    "mlp-tiny": "26 kernels of 0.1 to 0.7 µs: products 2.7 µs, tanh 1.0 µs, update 0.5 µs, loss 0.5 µs, sums of biases "
    "0.2 µs; what Python does per epoch adds 0.2 µs",
    "mlp-layernorm-gelu-train": "of 3.1 ms, 2.5 are products at 97 % of the peak; GELU, layer normalisation and sums "
    "take 0.3, Adam's pass over 22 MB 0.2, transposed copies of the weights 0.1",
    "encoder-predict": "of 18.3 ms, 14 are products at the peak, 2.2 attention, its exponentials included, 1.5 GELU, "
    "0.5 layer normalisation",
    "vgg-bfloat16": "AVX512-BF16 doubles the peak of direct convolutions, Winograd's algorithm in float32 does more; "
    "the ratio asked for is that of a processor with AMX",
    "one-image-mobilenet": "of some 280 µs, 160 are 1x1 convolutions at the peak of two cores, 80 depthwise "
    "convolutions and 13 meetings of the two threads",
    "lstm-train": "the steps of the recurrence run at 69 % of the peak, products of 32 rows and gates by turns; the "
    "other products at 75 to 83 %",
    "lstm-stream": "of 6.9 µs, 4.1 are the step, called from C as an exported library; the others are Python's",
    "cold-predict-empty": "10 kernels: 0.5 s of CPU for LLVM to compile them, half of it for their emission",
    "cold-resnet20-empty": "64 kernels: 3.5 s of CPU for LLVM to compile them, half of it for their emission",
    "cold-mobilenet-empty": "60 kernels: 3.3 s of CPU for LLVM to compile them, half of it for their emission",
    "cold-vgg-empty": "compilation of kernels for the layers' shapes, by LLVM for the most part",
}

_MACHINE = ("processor", "system", "threads")


def machine(threads: int) -> dict:
    """What the results depend on."""
    processor, flags = platform.processor(), ""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                processor = value.strip()
            elif name.strip() == "flags":
                flags = value.split()
    except OSError:
        pass
    packages = sorted({package for peer in PEERS.values() for package in peer.packages} | {"numba", "llvmlite"})
    versions = {"python": platform.python_version()}
    for package in packages:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    features = [name for name in ("avx2", "avx512f", "avx512_bf16", "amx_bf16", "asimd") if name in flags]
    return {
        "processor": processor, "cores": os.cpu_count(), "features": features, "threads": threads,
        "system": f"{platform.system()} {platform.release()}", "versions": versions,
    }  # fmt: skip


class Results:
    """The rows measured so far on this machine, by workload and peer; a new measurement replaces an old one."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.path = folder / "results.json"
        self.data = {"machine": None, "peak": None, "records": []}
        if self.path.is_file():
            self.data = json.loads(self.path.read_text())

    def begin(self, threads: int, quick: bool):
        """Says where the next rows come from; rows of another machine are dropped."""
        here, before = machine(threads), self.data["machine"]
        if before is not None and any(before[key] != here[key] for key in _MACHINE):
            self.data["records"], self.data["peak"] = [], None
        self.data["machine"] = here
        self.quick = quick

    def add(self, record: dict):
        record = {**record, "quick": self.quick, "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else None}
        key = record["workload"], record["peer"]
        kept = [r for r in self.data["records"] if (r["workload"], r["peer"]) != key]
        order = list(WORKLOADS)
        self.data["records"] = sorted([*kept, record], key=lambda r: order.index(r["workload"]))

    def save(self):
        self.folder.mkdir(parents=True, exist_ok=True)
        self.path.write_text(json.dumps(self.data, indent=1) + "\n")

    def write(self):
        """All three files."""
        self.save()
        (self.folder / "RESULTS.md").write_text(markdown(self.data))
        chart(self.data, self.folder / "results.png")


# ---- rows


def target(record: dict, records: list) -> float | None:
    """The ratio to reach in a row; a target over the best peer is that of the row with the lowest ratio."""
    targets = WORKLOADS[record["workload"]].targets
    if "best" in targets:
        rivals = [r["ratio"] for r in records if r["workload"] == record["workload"]]
        return targets["best"] if record["ratio"] == min(rivals) else None
    return targets.get(record["peer"])


def verdict(ratio: float, wanted: float | None) -> str:
    """reached, or what is short of it; a tie is a loss by less than the noise."""
    if wanted is not None and ratio >= wanted:
        return "reached"
    if ratio < 1 - TIE:
        return "loses"
    if wanted is None:
        return ""
    return "within 10 %" if ratio >= wanted * (1 - TIE) else "missed"


def cause(record: dict, wanted: float | None, peak: float | None) -> str:
    """Why a row is lost or misses its ratio: what is known of it, and whether the machine's peak allows the ratio."""
    if verdict(record["ratio"], wanted) not in ("loses", "missed"):
        return ""
    name = record["workload"]
    found = [text for key, text in CAUSES.items() if name == key or name.startswith(f"{key}-")][:1]
    floor = record["operations"] / peak if peak and record["operations"] else 0
    if 0 < floor < record["jitnet"]["median"]:  # above it, an algorithm or a type does with less
        best = record["theirs"]["median"] / floor
        if best < (wanted or 1):
            found.append(f"beyond the peak: with all arithmetic at it, the ratio would be {_ratio(best)}")
    return "; ".join(found) or "not found yet"


def amount(value: float, unit: str) -> str:
    """A number with a unit that suits it."""
    if unit == "bytes":
        return f"{value / 2**20:.0f} MiB"
    if unit == "relative":
        return f"{value:.2g}"
    for factor, name in ((1, "s"), (1e3, "ms"), (1e6, "µs")):
        if value * factor >= 1 or name == "µs":
            return f"{value * factor:.3g} {name}"
    raise AssertionError


def _cell(side: dict, unit: str) -> str:
    form = f" ({side['form']})" if side["form"] else ""
    return f"{amount(side['median'], unit)} ± {100 * side['spread'] / 2:.0f} %{form}"


def _ratio(ratio: float) -> str:
    return f"{ratio:.2f}" if ratio < 10 else f"{ratio:.1f}"


def line(record: dict) -> str:
    """A row for the terminal."""
    ours, theirs = (_cell(record[side], record["unit"]) for side in ("jitnet", "theirs"))
    return f"{record['workload']}: jitnet {ours}, {record['peer']} {theirs}: {_ratio(record['ratio'])}"


def _speed(record: dict, peak: float | None) -> str:
    """Floating-point operations a second, and the time that they would take at the peak."""
    if not record["operations"]:
        return ""
    found = record["operations"] / record["jitnet"]["median"]
    share = f", {100 * found / peak:.0f} %" if peak else ""
    return f"{record['operations'] / 1e6:.3g} M: {found / 1e9:.3g} GFLOP/s{share}"


def _floor(record: dict, peak: float | None) -> str:
    return amount(record["operations"] / peak, "s") if peak and record["operations"] else ""


def _row(record, records, peak, title) -> str:
    wanted = target(record, records)
    cells = [
        title, record["peer"], _cell(record["jitnet"], record["unit"]), _cell(record["theirs"], record["unit"]),
        f"**{_ratio(record['ratio'])}** ± {50 * record['ratio_spread']:.0f} %", "" if wanted is None else f"{wanted:g}",
        verdict(record["ratio"], wanted), _speed(record, peak), _floor(record, peak), cause(record, wanted, peak),
    ]  # fmt: skip
    return f"| {' | '.join(cells)} |"


_HEAD = """\
| workload | peer | jitnet | peer | ratio | to reach | | operations: speed, share of the peak | floor | cause |
|---|---|---|---|---|---|---|---|---|---|
"""


# ---- documents


def sweep(records: list) -> tuple[float, float, int]:
    """Geometric mean and minimum of the ratios of the convolutions, and how many there are."""
    ratios = [r["ratio"] for r in records if r["workload"].startswith("convolution-")]
    if not ratios:
        return math.nan, math.nan, 0
    return math.exp(sum(map(math.log, ratios)) / len(ratios)), min(ratios), len(ratios)


def markdown(data: dict) -> str:
    """RESULTS.md."""
    records, peak, here = data["records"], data["peak"], data["machine"]
    if not here:
        return "# Benchmarks\n\nNothing has been measured yet.\n"
    dates = sorted(r["date"] for r in records)
    versions = ", ".join(f"{name} {version}" for name, version in here["versions"].items())
    loads = [r["load"] for r in records if r["load"] is not None]
    lines = [
        "# Benchmarks: jitnet and its peers on a CPU",
        "",
        "Written by `python scripts/bench/run.py`; `results.json` has every single measurement, `results.png` draws",
        "every network beside its fastest peer.",
        "",
        f"- Machine: {here['processor']}, {here['cores']} cores ({', '.join(here['features'])}), {here['system']}; "
        f"{here['threads']} threads for everyone.",
        f"- Versions: {versions}.",
        f"- Measured (UTC): {dates[0]} to {dates[-1]}." if dates else "- Nothing has been measured yet.",
    ]
    if loads:
        lines.append(f"- Load average while measuring: {min(loads):.1f} to {max(loads):.1f}.")
    if peak:
        lines.append(
            f"- Peak: {peak / 1e9:.0f} GFLOP/s, reached by products of matrices that fit in the first cache. The floor "
            "of a row is the time of its multiplications and additions at this peak, all else for nothing."
        )
    if any(r["quick"] for r in records):
        lines.append("- **Some rows come from `--quick` runs: too few and too short to be relied on.**")
    lines += ["", *_METHOD, ""]
    main = [r for r in records if not r["workload"].startswith(("convolution-", "matrix-"))]
    if main:
        lines += ["## Networks", "", _HEAD.rstrip()]
        lines += [_row(r, records, peak, WORKLOADS[r["workload"]].title) for r in main]
        lines.append("")
    mean, least, count = sweep(records)
    if count:
        complete = "" if count == len(CONVOLUTIONS) * len(PASSES) else f" of {len(CONVOLUTIONS) * len(PASSES)}"
        lines += [
            "## Convolutions",
            "",
            f"(N, C, H, W, K, R, stride, padding) and pass; {count}{complete} cells, geometric mean **{mean:.2f}** "
            f"(to reach: {SWEEP_TARGET}), lowest {least:.2f}.",
            "",
            _HEAD.rstrip(),
        ]
        lines += [
            _row(r, records, peak, WORKLOADS[r["workload"]].title)
            for r in records
            if r["workload"].startswith("convolution-")
        ]
        lines.append("")
    matrices = [r for r in records if r["workload"].startswith("matrix-")]
    if matrices:
        lines += ["## Products of square matrices", "", _HEAD.rstrip()]
        lines += [_row(r, records, peak, WORKLOADS[r["workload"]].title) for r in matrices]
        lines.append("")
    if not {"amx_bf16", "avx512_bf16"} & set(here["features"]):
        lines += ["VGG-like in mixed_bfloat16: not measured, this machine has neither AMX nor AVX512-BF16.", ""]
    return "\n".join(lines)


_METHOD = (
    "Each peer runs in a process of its own, in turns with jitnet on the same data, weights and batches, which every",
    "library shuffles and gathers itself, epoch by epoch. Times are seconds of one step: medians, ± half the",
    "interquartile range. The ratio, peer's time over jitnet's, is the median of the ratios pair by pair; above 1",
    "jitnet is faster. Losses of the first three steps (or outputs) agree to 0.1 % before anything is timed; weights",
    "go back to their initial values before every run. A gap under 10 % is a tie.",
    "",
    "Peers in their best form: PyTorch on channels_last tensors with fused optimizers, with glibc's malloc told to",
    "keep memory (`torch`) or left alone (`torch-default-malloc`), or through `torch.compile` (`torch-compiled`),",
    "frozen or eager for inference, the better of NCHW and channels_last for convolutions alone; JAX with donated",
    "buffers, one jitted call a step or `lax.scan` over an epoch; ONNX Runtime with all graph optimisations and the",
    "better of one and all threads; scikit-learn one `partial_fit` an epoch; NumPy by hand. jitnet with the better of",
    "`jit_compile=True` and `False`, named in its column.",
)


def chart(data: dict, path: Path) -> None:
    """A bar for every workload about networks, against its fastest peer, if matplotlib is installed."""
    try:
        import matplotlib
    except ImportError:
        return
    matplotlib.use("agg")
    from matplotlib import pyplot

    fastest = {}
    for record in data["records"]:
        known = fastest.get(record["workload"], record)
        fastest[record["workload"]] = min(known, record, key=lambda r: r["ratio"])
    records = [r for name, r in fastest.items() if not name.startswith(("convolution-", "matrix-"))]
    if not records:
        return
    figure, axes = pyplot.subplots(figsize=(9, 1.2 + 0.3 * len(records)), layout="constrained")
    colors = {"reached": "tab:green", "within 10 %": "tab:olive", "missed": "tab:orange", "loses": "tab:red"}
    seen = set()
    for place, record in enumerate(reversed(records)):
        wanted = target(record, data["records"])
        found = verdict(record["ratio"], wanted)
        label = found if found not in seen else None
        seen.add(found)
        axes.barh(place, record["ratio"] - 1, left=1, color=colors.get(found, "tab:blue"), label=label or None)
        axes.text(max(record["ratio"], 1), place, f" {_ratio(record['ratio'])}", va="center", fontsize=8)
        if wanted:
            axes.plot([wanted] * 2, [place - 0.4, place + 0.4], color="black")
    axes.set_yticks(range(len(records)), [f"{r['workload']}, {r['peer']}" for r in reversed(records)], fontsize=8)
    axes.set_xscale("log")
    axes.set_xticks([0.5, 1, 2, 4, 8], ["0.5", "1", "2", "4", "8"])
    axes.minorticks_off()
    axes.axvline(1, color="gray", linewidth=0.8)
    axes.set_xlabel("peer's time / jitnet's; black marks: to reach")
    axes.legend(loc="lower left", fontsize=8)
    axes.margins(x=0.15, y=0.01)
    figure.savefig(path, dpi=120)
    pyplot.close(figure)
