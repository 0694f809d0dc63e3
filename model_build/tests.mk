# Tests that need torch, TensorFlow or sagemaker, each in its own environment. Included by the Makefile.
MB_READY_torch      := $(VENV_TRAIN)/.ready
MB_READY_tensorflow := .venv-tensorflow/.installed
MB_READY_sagemaker  := .venv-sagemaker/.installed .venv-sagemaker-training/.installed $(VENV_TRAIN)/.ready .venv-tensorflow/.installed
MB_PYTHON_torch      := $(PY_TRAIN)
MB_PYTHON_tensorflow := .venv-tensorflow/bin/python
MB_PYTHON_sagemaker  := .venv-sagemaker/bin/python
# A folder that has no tests yet needs no environment.
MB_SUITES := $(foreach suite,torch tensorflow sagemaker,$(if $(wildcard tests/model_build/$(suite)/test_*.py),$(suite)))

.PHONY: test-model-build

test-model-build: $(VENV)/.dev $(foreach suite,$(MB_SUITES),$(MB_READY_$(suite))) ## run the tests that need torch, TensorFlow or sagemaker (sets these up)
	@$(PY) -m tools.suites run $(foreach suite,$(MB_SUITES),$(suite)=$(MB_PYTHON_$(suite)))
