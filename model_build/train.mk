# Training of the sample models, in an environment of its own: torch is needed here and nowhere else.
# Included by the Makefile.
VENV_TRAIN := .venv-train
PY_TRAIN := $(VENV_TRAIN)/bin/python
# The checkout's own packages, as `make setup` has them in .venv: `.venv-train/bin/python -m model_build` then runs from a bare shell.
# Of the components the agent alone: its code runs what Neo compiled.
checkout_on_path = printf '%s\n' "$(CURDIR)" "$(CURDIR)/components/common" "$(CURDIR)/components/agent" \
  > $(1)/lib/python3.11/site-packages/linewatch.pth

.PHONY: train-samples train-inspector train-SurfaceClassifier train-SurfaceSegmenter train-SurfaceInspector demo-parts

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

# The sample models, by the commands that a person uses (docs/models.md), from drawn raw data to the package. What is done stays in
# build/inspector and build/pair; an interrupted training goes on. To begin anew, remove the folder.
CHAIN := build/inspector
PAIR_CHAIN := build/pair
OWN := the project's own, trained on generated pictures
FROM_IMAGENET := $(OWN); the trunk starts from EfficientNet-Lite0's ImageNet weights (Apache-2.0)
BUILD_MODEL := PYTHONPATH=$(CURDIR):$(CURDIR)/components/common $(PY_TRAIN) -m model_build

# The classifier asks a person where it is unsure; the segmenter takes no specks.
EVALUATE_SurfaceClassifier := --target-escapes 0.01 --target-false-rejects 0.005
PACKAGE_SurfaceSegmenter := --minimum-area 8

# The run in $(1), on the prepared folder $(2), of the net $(3) with its course. One that is finished, but of other data, is removed; an unfinished
# one goes on.
define train_sample
	@test ! -f $(1)/run/run.json || rm -rf $(1)/run
	@$(BUILD_MODEL) train $(2) $(1)/run --seed 7 --model $(3) --resume
endef

# From a run to its package in the bundle: $(1) folder with run/, $(2) prepared folder, $(3) model's name, $(4) target, $(5) licence.
define package_sample
	@rm -rf $(1)/compiled $(1)/test $(1)/packages components/models/.$(3)
	@$(BUILD_MODEL) compile $(1)/run $(1)/compiled --data $(2) --target $(4)
	@$(BUILD_MODEL) predict $(1)/run $(2) $(1)/test --split test --artefact $(1)/compiled/model.onnx
	@$(BUILD_MODEL) evaluate $(2) $(1)/evaluation --validation $(1)/run/validation --test $(1)/test $(EVALUATE_$(3))
	@$(BUILD_MODEL) package $(1)/compiled $(1)/packages --run $(1)/run --evaluation $(1)/evaluation --data $(2) \
	  --name $(3) --version 1.0.0 --golden validation --licence "$(5)" $(PACKAGE_$(3))
	@cp -r $(1)/packages/$(3)-1-0-0/package components/models/.$(3)
	@rm -rf components/models/$(3) && mv components/models/.$(3) components/models/$(3)
endef

# The inspector learns one class from 1,200 pictures, the pair four from 3,000.
$(CHAIN)/raw/annotations/test.json: | $(VENV_TRAIN)/.ready
	@$(BUILD_MODEL).samples raw --out $(CHAIN)/raw

$(PAIR_CHAIN)/raw/annotations/test.json: | $(VENV_TRAIN)/.ready
	@$(BUILD_MODEL).samples raw --kinds --train 3000 --out $(PAIR_CHAIN)/raw

%/data/splits.json: %/raw/annotations/test.json
	@rm -rf $*/data
	@$(BUILD_MODEL) prepare $*/raw $*/data --folds 2

# The inspector's input has 288 x 224 pixels.
$(CHAIN)/run/run.json: $(CHAIN)/data/splits.json
	$(call train_sample,$(CHAIN),$(CHAIN)/data,inspector --epochs 3 --steps 100 --rate 0.004 --pixels 64512)

$(PAIR_CHAIN)/classifier/run/run.json: $(PAIR_CHAIN)/data/splits.json
	$(call train_sample,$(PAIR_CHAIN)/classifier,$(PAIR_CHAIN)/data,compact-classifier --epochs 4 --steps 400)

$(PAIR_CHAIN)/segmenter/run/run.json: $(PAIR_CHAIN)/data/splits.json
	$(call train_sample,$(PAIR_CHAIN)/segmenter,$(PAIR_CHAIN)/data,compact-segmenter --epochs 4 --steps 800)

train-SurfaceInspector: $(CHAIN)/run/run.json
	$(call package_sample,$(CHAIN),$(CHAIN)/data,SurfaceInspector,onnx-int8,$(FROM_IMAGENET))

train-SurfaceClassifier: $(PAIR_CHAIN)/classifier/run/run.json
	$(call package_sample,$(PAIR_CHAIN)/classifier,$(PAIR_CHAIN)/data,SurfaceClassifier,onnx,$(OWN))

train-SurfaceSegmenter: $(PAIR_CHAIN)/segmenter/run/run.json
	$(call package_sample,$(PAIR_CHAIN)/segmenter,$(PAIR_CHAIN)/data,SurfaceSegmenter,onnx,$(OWN))

train-inspector: train-SurfaceInspector ## train SurfaceInspector on drawn parts and write its package (6 minutes on 2 quiet cores)

train-samples: train-SurfaceClassifier train-SurfaceSegmenter ## train the pair of sample models and write their packages (an hour on 2 quiet cores)

demo-parts: $(VENV)/.dev ## draw the demo's parts again
	@PYTHONPATH=$(CURDIR):$(CURDIR)/components/common $(PY) -m model_build.samples parts --out demo/parts

.PHONY: quality quality-data

quality-data:
	@test -d "$(or $(DATASET),../shared/data/kolektorsdd)" || { echo "quality: $(or $(DATASET),../shared/data/kolektorsdd) is no folder; name one with DATASET=DIR" >&2; exit 1; }

# Interrupted, it goes on where it was (build/quality). DATASET=DIR: any folder in a known layout (docs/data.md).
# FEW="0 5 20" trains ours once more from so few defective pictures each, 15 minutes more apiece; FEW="alone 0 5 20" these alone. PAIR=alone trains the pair beside figures of
# ours that the page has already, PAIR=unet one of its nets.
quality: quality-data $(VENV_TRAIN)/.ready .venv-tensorflow/.installed ## train, compile and judge three seeds and the reference's pair, docs/quality.md (DATASET=DIR; 1.5 hours on 2 cores)
	@$(PY_TRAIN) -m model_build.quality $(if $(DATASET),--dataset "$(DATASET)") $(if $(FEW),--few-$(if $(filter alone,$(FEW)),alone,defects) $(filter-out alone,$(FEW))) $(if $(PAIR),--pair-alone $(filter-out alone,$(PAIR)))
