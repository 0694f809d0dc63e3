"""The benched model as mlserver serves it. Imported by mlserver itself, in the environment of the group `peers`."""

import openvino
from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse


class OpenVinoModel(MLModel):  # type: ignore[misc]  # mlserver is not installed where types are checked
    """One ONNX file by OpenVINO, with the agent's options."""

    async def load(self) -> bool:
        """See MLModel."""
        options = self.settings.parameters.extra
        compiled = openvino.Core().compile_model(self.settings.parameters.uri, "CPU", options)
        self._request = compiled.create_infer_request()
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """See MLModel."""
        tensor = NumpyCodec.decode_input(payload.inputs[0])
        results = self._request.infer([tensor], share_inputs=True, share_outputs=True)
        output = NumpyCodec.encode_output("scores", results[0])
        return InferenceResponse(model_name=self.name, outputs=[output])
