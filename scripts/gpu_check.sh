#!/usr/bin/env bash
# What a machine with an NVIDIA GPU is asked in its first eight minutes, the most valuable first.
#
#     JITNET_DATA_DIR=mnist scripts/gpu_check.sh          results in $OUT, or gpu-check/
#     scripts/gpu_check.sh --dry                          the same steps with the emulator in the GPU's place
#
# It needs no network and no installation: the Python that runs it has numba, numba-cuda, llvmlite, safetensors, tqdm,
# pytest and PyTorch.  Every step has a limit of its own, and its results are written as they come.
set -uo pipefail
cd "$(dirname "$0")/.."
out=${OUT:-$PWD/gpu-check}
mkdir -p "$out"
report=$out/report.txt
dry=${1:-}
export PYTHONPATH=$PWD:$PWD/scripts/bench:$PWD/tests JITNET_CACHE_DIR=${JITNET_CACHE_DIR:-$out/../gpu-cache}
python=${PYTHON:-python3}
: > "$report"

step() { # step SECONDS NAME COMMAND...
    local limit=$1 name=$2 start=$SECONDS status
    shift 2
    printf '\n== %s (at %d s, limit %d s)\n' "$name" "$SECONDS" "$limit" | tee -a "$report"
    timeout -k 5 "$limit" "$@" 2>&1 | tail -n 400 > "$out/step.txt"
    status=${PIPESTATUS[0]}
    tail -n 25 "$out/step.txt" | tee -a "$report"
    cat "$out/step.txt" >> "$out/all.txt"
    rm "$out/step.txt"
    printf '== %s: status %d after %d s\n' "$name" "$status" "$((SECONDS - start))" | tee -a "$report"
}

if [ "$dry" = --dry ]; then
    tests=(tests/test_cuda_models.py -k "dense or single_batches")
    bench=(--dry)
else
    export JITNET_TEST_DEVICE=cuda:0 JITNET_DEVICE=cuda
    tests=(-m gpu tests/test_gpu.py tests/test_cuda_models.py)
    bench=()
fi
pytest=("$python" -m pytest -p no:cacheprovider -o addopts= -q --tb=short -W default)

step 40 "what there is" "$python" scripts/bench/cuda.py "${bench[@]}" --output "$out" --parts machine
step 110 "models on the device, and graphs" "${pytest[@]}" "${tests[@]}"
step 100 "networks, beside PyTorch" "$python" scripts/bench/cuda.py "${bench[@]}" --output "$out" --parts networks
step 60 "products, beside PyTorch" "$python" scripts/bench/cuda.py "${bench[@]}" --output "$out" --parts products
if [ "$dry" != --dry ] && [ -n "${JITNET_DATA_DIR:-}" ]; then
    step 60 "LeNet-5 on MNIST, to 99 %" "$python" -m jitnet train mnist --model lenet5 --epochs 12 --device cuda \
        --out "$out/../gpu-run"
fi
step 40 "memory-bound kernels" "$python" scripts/bench/cuda.py "${bench[@]}" --output "$out" --parts bandwidth
step 50 "convolutions, beside PyTorch" "$python" scripts/bench/cuda.py "${bench[@]}" --output "$out" --parts convolutions
if [ "$dry" != --dry ]; then
    step 90 "every kernel on the device" "${pytest[@]}" -m gpu tests/test_cuda_[!em]*.py tests/test_cuda_{elementwise,memory}.py
    if command -v compute-sanitizer > /dev/null; then
        step 60 "compute-sanitizer" compute-sanitizer --tool memcheck "$python" -m pytest -p no:cacheprovider -o addopts= \
            -q -W default -m gpu tests/test_cuda_models.py -k residual
    fi
fi
echo "all steps done after $SECONDS s" | tee -a "$report"
