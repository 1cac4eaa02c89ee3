"""ONNX Runtime: inference with all graph optimisations on."""

import numpy as np
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


class Stream(Inference):
    """One step of a sequence after the other."""

    def __init__(self, workload, threads):
        self.zeros = np.zeros((1, 1, workload.model.layers[0].units), np.float32)
        self.h = self.c = self.zeros
        super().__init__(workload, threads)

    def predict(self):
        outputs, self.h, self.c = self.session.run(None, {"x": self.x, "h": self.h, "c": self.c})
        return outputs

    def check(self, steps):
        self.h = self.c = self.zeros
        return np.concatenate([self.predict() for _ in range(steps)]).ravel()


def prepare(workload, threads, variant):
    if workload.kind == "stream":
        return Stream(workload, threads)
    return Inference(workload, threads)
