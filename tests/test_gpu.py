"""What only a GPU shows: recorded graphs, memory that ends, PyTorch on the same device.  See ``pytest -m gpu``."""

import numpy as np
import pytest
from cuda_cases import ON_DEVICE, emulator
from test_cuda_models import dense, draw, trained

import jitnet
from jitnet.kernels.cuda import _api
from jitnet.kernels.cuda import dense as products
from jitnet.targets.cuda import devices

pytestmark = pytest.mark.skipif(not ON_DEVICE, reason="runs with -m gpu, on a machine with a GPU")


@pytest.fixture
def device():
    found = emulator(0)
    yield found
    jitnet.set_device("cpu")


def test_a_recorded_graph_does_what_its_launches_do(device):
    x, kernel = draw(65, 33), draw(33, 17)
    stream = device.new_stream()
    with _api.using(device, stream):
        given = [device.to_device(a, stream) for a in (x, kernel)]
        y = device.empty((65, 17), np.float32)
        replay = device.record(lambda: products.dense_forward(*given, y), stream)
        for factor in (1, 2):  # the same memory with other values
            device.copy(given[0], factor * x, stream)
            replay()
            np.testing.assert_allclose(device.to_host(y, stream), factor * x @ kernel, rtol=1e-4, atol=1e-5)


def test_the_same_bits_from_run_to_run(device):
    first, history, outputs = trained(dense, draw(64, 5), "cuda", 3, 16)
    second, again, same = trained(dense, draw(64, 5), "cuda", 3, 16)
    assert history == again
    np.testing.assert_array_equal(outputs, same)
    for weight, other in zip(first.weights, second.weights, strict=True):
        np.testing.assert_array_equal(weight.numpy(), other.numpy())


def test_too_little_memory(device):
    with pytest.raises(RuntimeError, match=r"too little memory: .* MiB more are needed"):
        device.empty((1 << 42,), np.uint8)
    assert device.description.startswith("cuda:0, ")
    with pytest.raises(RuntimeError, match=r"There are . CUDA devices"):
        devices.backend("cuda:99")


def test_products_against_pytorch(device):
    torch = pytest.importorskip("torch")
    x, kernel = draw(300, 257), draw(257, 130)
    expected = torch.from_numpy(x).double().cuda() @ torch.from_numpy(kernel).double().cuda()
    scale = float(expected.abs().max())
    for precision, error in (("highest", 1e-6), ("high", 1e-3), ("medium", 1e-2)):
        given = [device.to_device(a) for a in (x, kernel)]
        y = device.empty((300, 130), np.float32)
        with _api.using(device, None, precision):
            products.dense_forward(*given, y)
        found = np.abs(device.to_host(y) - expected.cpu().numpy()).max() / scale
        assert found < error, precision


@pytest.mark.parametrize("library", ["torch", "cupy"])
def test_arrays_of_other_libraries_are_used_where_they_are(device, library):
    module = pytest.importorskip(library)
    x, y = draw(48, 5), np.arange(48) % 3
    if library == "torch":
        there = [module.from_numpy(array).cuda() for array in (x, y)]
        taken = module.from_dlpack
    else:
        there = [module.asarray(array) for array in (x, y)]
        taken = module.asarray
    model, expected = dense(), dense()
    history = model.fit(*there, batch_size=16, epochs=3, verbose=0, device="cuda").history
    assert history == expected.fit(x, y, batch_size=16, epochs=3, verbose=0, device="cuda").history
    outputs = model.predict(there[0], verbose=0, device="cuda", as_numpy=False)
    found = taken(outputs)
    pointer = found.data_ptr() if library == "torch" else found.data.ptr
    assert pointer == outputs.__cuda_array_interface__["data"][0]
    found = found.cpu().numpy() if library == "torch" else found.get()
    np.testing.assert_array_equal(found, expected.predict(x, verbose=0, device="cuda"))
