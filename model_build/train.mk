# Training of the sample models, in an environment of its own: torch is needed here and nowhere else.
# Included by the Makefile.
VENV_TRAIN := .venv-train
PY_TRAIN := $(VENV_TRAIN)/bin/python
# The checkout's own packages, as `make setup` has them in .venv: `.venv-train/bin/python -m model_build` then runs from a bare shell.
# Of the components the agent alone: its code runs what Neo compiled.
checkout_on_path = printf '%s\n' "$(CURDIR)" "$(CURDIR)/components/common" "$(CURDIR)/components/agent" \
  > $(1)/lib/python3.11/site-packages/linewatch.pth

SAMPLES := SurfaceClassifier SurfaceSegmenter

.PHONY: train-samples $(SAMPLES:%=train-%) demo-parts

# pip, not uv: uv does not take torch's CPU wheel from a folder given by PIP_FIND_LINKS. Where pip does not find it,
# name PyTorch's index: PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu make train-samples
$(VENV_TRAIN)/.ready: locks/train.txt locks/train-torch.txt
	@command -v python3.11 >/dev/null 2>&1 || { echo "linewatch needs python3.11, see docs/setup.md" >&2; exit 1; }
	@test -x $(PY_TRAIN) || python3.11 -m venv $(VENV_TRAIN)
	@echo "set-up: the training environment (about 1 GB once)"
	@$(PY_TRAIN) -m pip install --quiet --require-hashes --no-deps -r locks/train.txt
	@$(PY_TRAIN) -m pip install --quiet --require-hashes --no-deps -r locks/train-torch.txt
	@$(call checkout_on_path,$(VENV_TRAIN))
	@touch $@

# TensorFlow, for the reference's U-Net alone. `tensorflow-cpu` is on PyPI, so uv does it.
.venv-tensorflow/.installed: locks/train-tensorflow.txt $(VENV)/.uv
	@test -x .venv-tensorflow/bin/python || python3.11 -m venv .venv-tensorflow
	@echo "set-up: the TensorFlow environment (about 2 GB once)"
	@$(UV) pip install --quiet --python .venv-tensorflow/bin/python --require-hashes -r locks/train-tensorflow.txt
	@$(call checkout_on_path,.venv-tensorflow)
	@touch $@

train-samples: $(VENV_TRAIN)/.ready ## train both sample models and write their packages (20 minutes on 2 busy cores)
	@$(MAKE) --no-print-directory --jobs 2 $(SAMPLES:%=train-%)

# One thread each, side by side: as fast as one after the other, and the weights do not depend on the number of cores.
$(SAMPLES:%=train-%): train-%: $(VENV_TRAIN)/.ready
	@PYTHONPATH=$(CURDIR):$(CURDIR)/components/common $(PY_TRAIN) -m model_build.samples train --only $* --out components/models

# SurfaceInspector, by the commands that a person uses (docs/models.md), from drawn raw data to the package. What is done stays in
# build/inspector; an interrupted training goes on. To begin anew, remove the folder.
CHAIN := build/inspector
LICENCE := the project's own, trained on generated pictures; the trunk starts from EfficientNet-Lite0's ImageNet weights (Apache-2.0)
BUILD_MODEL := PYTHONPATH=$(CURDIR):$(CURDIR)/components/common $(PY_TRAIN) -m model_build
.PHONY: train-inspector

$(CHAIN)/raw/annotations/test.json: | $(VENV_TRAIN)/.ready
	@$(BUILD_MODEL).samples raw --out $(CHAIN)/raw

$(CHAIN)/data/splits.json: $(CHAIN)/raw/annotations/test.json
	@rm -rf $(CHAIN)/data
	@$(BUILD_MODEL) prepare $(CHAIN)/raw $(CHAIN)/data --folds 2

# 288 x 224 pixels.
$(CHAIN)/run/run.json: $(CHAIN)/data/splits.json
	@test ! -f $@ || rm -rf $(CHAIN)/run  # finished, but of other data; an unfinished one goes on
	@$(BUILD_MODEL) train $(CHAIN)/data $(CHAIN)/run --model inspector --seed 7 --epochs 3 --steps 100 --rate 0.004 --pixels 64512 \
	  --resume

train-inspector: $(CHAIN)/run/run.json ## train SurfaceInspector on drawn parts and write its package (6 minutes on 2 quiet cores)
	@rm -rf $(CHAIN)/int8 $(CHAIN)/test $(CHAIN)/packages components/models/.new
	@$(BUILD_MODEL) compile $(CHAIN)/run $(CHAIN)/int8 --data $(CHAIN)/data --target onnx-int8
	@$(BUILD_MODEL) predict $(CHAIN)/run $(CHAIN)/data $(CHAIN)/test --split test --artefact $(CHAIN)/int8/model.onnx
	@$(BUILD_MODEL) evaluate $(CHAIN)/data $(CHAIN)/evaluation --validation $(CHAIN)/run/validation --test $(CHAIN)/test
	@$(BUILD_MODEL) package $(CHAIN)/int8 $(CHAIN)/packages --run $(CHAIN)/run --evaluation $(CHAIN)/evaluation --data $(CHAIN)/data \
	  --name SurfaceInspector --version 1.0.0 --golden validation --licence "$(LICENCE)"
	@cp -r $(CHAIN)/packages/SurfaceInspector-1-0-0/package components/models/.new
	@rm -rf components/models/SurfaceInspector && mv components/models/.new components/models/SurfaceInspector

demo-parts: $(VENV)/.dev ## draw the demo's parts again
	@PYTHONPATH=$(CURDIR):$(CURDIR)/components/common $(PY) -m model_build.samples parts --out demo/parts

.PHONY: quality quality-data

quality-data:
	@test -d "$(or $(DATASET),../shared/data/kolektorsdd)" || { echo "quality: $(or $(DATASET),../shared/data/kolektorsdd) is no folder; name one with DATASET=DIR" >&2; exit 1; }

# Interrupted, it goes on where it was (build/quality). DATASET=DIR: any folder in a known layout (docs/data.md).
# FEW="0 5 20" trains ours once more from so few defective pictures each, 15 minutes more apiece. PAIR=alone trains the pair beside figures of
# ours that the page has already, PAIR=unet one of its nets.
quality: quality-data $(VENV_TRAIN)/.ready .venv-tensorflow/.installed ## train, compile and judge three seeds and the reference's pair, docs/quality.md (DATASET=DIR; 1.5 hours on 2 cores)
	@$(PY_TRAIN) -m model_build.quality $(if $(DATASET),--dataset "$(DATASET)") $(if $(FEW),--few-defects $(FEW)) $(if $(PAIR),--pair-alone $(filter-out alone,$(PAIR)))
