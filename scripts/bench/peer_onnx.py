"""ONNX Runtime: inference with all graph optimisations on."""

import onnx_models
import onnxruntime


class Inference(onnx_models.Inference):
    def open(self, threads):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
        self.session = onnxruntime.InferenceSession(self.model, options, providers=["CPUExecutionProvider"])
        self.form = f"{threads} thread{'s' * (threads > 1)}"

    def predict(self):
        return self.session.run(None, {"x": self.x})[0]


def prepare(workload, threads, variant):
    return Inference(workload, threads)
