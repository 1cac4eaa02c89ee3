"""OpenVINO: inference in float32, one request after the other."""

import onnx_models
import openvino


class Inference(onnx_models.Inference):
    def open(self, threads):
        core = openvino.Core()
        model = core.read_model(self.model)
        settings = {
            "PERFORMANCE_HINT": "LATENCY", "NUM_STREAMS": 1, "INFERENCE_NUM_THREADS": threads,
            "INFERENCE_PRECISION_HINT": "f32",
        }  # fmt: skip
        self.request = core.compile_model(model, "CPU", settings).create_infer_request()
        self.form = f"{threads} thread{'s' * (threads > 1)}"

    def predict(self):
        return self.request.infer({0: self.x}, share_inputs=True, share_outputs=True)[0]


def prepare(workload, threads, variant):
    return Inference(workload, threads)
