#!/usr/bin/env bash
# What a machine with an NVIDIA GPU is asked in its first five minutes, the most valuable first.
#
#     JITNET_DATA_DIR=data scripts/gpu_check.sh           results in $OUT, or gpu-check/; data/mnist/ has MNIST's files
#     scripts/gpu_check.sh --dry                          the same steps with the emulator in the GPU's place
#
# It needs no network and no installation: the Python that runs it has numba, numba-cuda, llvmlite, safetensors, tqdm,
# pytest and PyTorch.  Steps of one round run side by side, for most of their time goes into compiling; what is measured
# is measured alone.  Every step has a limit of its own.
set -uo pipefail
cd "$(dirname "$0")/.."
out=${OUT:-$PWD/gpu-check}
mkdir -p "$out"
report=$out/report.txt
dry=${1:-}
export PYTHONPATH=$PWD:$PWD/scripts/bench:$PWD/tests JITNET_CACHE_DIR=${JITNET_CACHE_DIR:-$out/../gpu-cache}
python=${PYTHON:-python3}
: > "$report"
logs=$(mktemp -d)
trap 'rm -rf "$logs"' EXIT
names=()

step() { # step SECONDS NAME COMMAND...
    local limit=$1 name=$2 log=$logs/${#names[@]}
    shift 2
    names+=("$name")
    (
        start=$SECONDS
        timeout -k 5 "$limit" "$@" > "$log" 2>&1
        printf '== %s: status %d, from %d s to %d s, limit %d s\n' "$name" $? "$start" "$SECONDS" "$limit" >> "$log"
    ) &
}

finish() { # the steps of a round
    wait
    local number
    for number in "${!names[@]}"; do
        tail -n 25 "$logs/$number" | cut -c 1-400 | tee -a "$report"
        tail -n 400 "$logs/$number" >> "$out/all.txt"
    done
    names=()
}

bench() { # bench SECONDS PARTS ONLY...
    local limit=$1 parts=$2
    shift 2
    # shellcheck disable=SC2086
    step "$limit" "$parts $*" "$python" scripts/bench/gpu.py ${dry:+--dry} --output "$out" --parts $parts \
        ${1:+--only "$@"}
}

if [ "$dry" = --dry ]; then
    tests=(tests/test_cuda_models.py -k "dense or single_batches")
else
    export JITNET_TEST_DEVICE=cuda:0 JITNET_DEVICE=cuda
    tests=(-m gpu tests/test_gpu.py tests/test_cuda_models.py)
fi
pytest=("$python" -m pytest -p no:cacheprovider -o addopts= -q --tb=short -W default)

bench 60 machine
finish

step 120 "models on the device, and graphs" "${pytest[@]}" -n 6 "${tests[@]}"
if [ "$dry" != --dry ]; then
    step 170 "every kernel on the device" "${pytest[@]}" -n 8 -m gpu tests/test_cuda_[!em]*.py \
        tests/test_cuda_{elementwise,memory}.py
    if [ -n "${JITNET_DATA_DIR:-}" ]; then
        step 90 "LeNet-5 on MNIST, to 99 %" "$python" -m jitnet train mnist --model lenet5 --epochs 12 --device cuda \
            --out "$out/../gpu-run"
    fi
fi
finish
if ! grep -Eq '[0-9]+ passed' "$report"; then
    echo "no test passed: there is nothing to measure" | tee -a "$report"
    exit 1
fi

bench 150 "networks launches" mlp
bench 150 "networks launches" lenet5
bench 150 "networks launches" "resnet20, batch 128"
bench 150 "networks launches" "resnet20, batch 1024"
bench 150 products highest
bench 150 products "high$"
bench 150 products medium
bench 150 bandwidth
bench 150 convolutions highest
bench 150 convolutions "high$"
if [ "$dry" != --dry ]; then
    for share in 0 1 2; do
        step 150 "tiles in TF32, share $share" "$python" scripts/bench/gpu_tiles.py high --share "$share" 3 --output "$out"
    done
fi
finish

if [ "$dry" != --dry ] && command -v compute-sanitizer > /dev/null; then
    step 60 "compute-sanitizer" compute-sanitizer --tool memcheck "$python" -m pytest -p no:cacheprovider -o addopts= \
        -q -W default -m gpu tests/test_cuda_models.py -k residual
    finish
fi
if [ "$dry" != --dry ] && command -v ncu > /dev/null; then
    step 90 "what products wait for" ncu --clock-control none --set full -k regex:product -c 10 \
        "$python" scripts/bench/gpu_profile.py
    finish
fi
echo "all steps done after $SECONDS s" | tee -a "$report"
