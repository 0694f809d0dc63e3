"""The benched model behind litserve, in the environment of the group `peers`: `litserve_server.py MODEL OPTIONS PORT`.

The tensor comes as base64 in JSON, litserve's own way for binary data.
"""

import base64
import json
import sys
from typing import Any

import litserve
import numpy as np
import openvino

SHAPE = (1, 3, 224, 224)


class OpenVinoApi(litserve.LitAPI):  # type: ignore[misc]  # litserve is not installed where types are checked
    """One ONNX file by OpenVINO, with the agent's options."""

    def setup(self, device: str) -> None:  # noqa: ARG002 - litserve's signature
        """See LitAPI."""
        compiled = openvino.Core().compile_model(sys.argv[1], "CPU", json.loads(sys.argv[2]))
        self._request = compiled.create_infer_request()

    def decode_request(self, request: dict[str, str]) -> Any:
        """See LitAPI."""
        return np.frombuffer(base64.b64decode(request["tensor"]), np.float32).reshape(SHAPE)

    def predict(self, x: Any) -> list[float]:
        """See LitAPI."""
        scores: list[float] = self._request.infer([x], share_inputs=True, share_outputs=True)[0].ravel().tolist()
        return scores

    def encode_response(self, output: list[float]) -> dict[str, list[float]]:
        """See LitAPI."""
        return {"scores": output}


if __name__ == "__main__":
    server = litserve.LitServer(OpenVinoApi(), accelerator="cpu", workers_per_device=1, fast_queue=True)
    # A connection is kept while the others have their turns.
    options = {"generate_client_file": False, "log_level": "warning", "timeout_keep_alive": 600}
    server.run(host="127.0.0.1", port=int(sys.argv[3]), **options)
