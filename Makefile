# `make compare` runs the main job, `make test` the tests. Both set everything up first.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
# One thread a process: small models lose more to waiting threads than they gain.
export OMP_NUM_THREADS = 1

.PHONY: compare test test-timm test-sim interop lint types layers check clean
.DEFAULT_GOAL := help

help:
	@echo "make compare   train every fusion strategy on the built-in tabletop, write one report"
	@echo "make test      run the tests"
	@echo "make test-timm the tests of the timm adapter, in an environment with torchvision"
	@echo "make test-sim  the tests of Meta-World and LIBERO, in an environment with both"
	@echo "make interop   read LeRobot's datasets and let it read ours, in an environment with it"
	@echo "make check     tests, linter, type checker and import layers"

$(BIN)/.installed: pyproject.toml scripts/setup.sh
	sh scripts/setup.sh "$(PYTHON)" "$(VENV)"
	@touch $@

compare: $(BIN)/.installed
	$(BIN)/plait compare --out outputs/compare

test: $(BIN)/.installed
	$(BIN)/python -m pytest -n 2

# timm needs torchvision, and so a PyTorch of the same build: an environment of its own.
$(VENV)-timm/bin/.installed: pyproject.toml scripts/setup.sh
	sh scripts/setup.sh "$(PYTHON)" "$(VENV)-timm" dev,timm
	@touch $@

test-timm: $(VENV)-timm/bin/.installed
	$(VENV)-timm/bin/python -m pytest tests/encoders/test_timm_models.py

# Both simulators work with MuJoCo 3.3.0 alone: an environment of their own, up to 4 GB.
$(VENV)-sim/bin/.installed: pyproject.toml scripts/setup.sh
	sh scripts/setup.sh "$(PYTHON)" "$(VENV)-sim" dev,metaworld,libero
	@touch $@

# LIBERO prepares a scene in seconds and takes 2 GB for it: one process at a time.
test-sim: $(VENV)-sim/bin/.installed
	$(VENV)-sim/bin/python -m pytest tests/envs/meta_world \
		tests/envs/test_raycast.py $(wildcard tests/envs/test_opengl*.py tests/envs/test_libero.py) tests/compare/test_environment.py

# LeRobot asks for Python 3.12 and another PyTorch: an environment of its own, up to 6 GB.
LEROBOT_PYTHON ?= python3.12
$(VENV)-lerobot/bin/.installed: pyproject.toml scripts/setup.sh
	sh scripts/setup.sh "$(LEROBOT_PYTHON)" "$(VENV)-lerobot" lerobot
	@touch $@

interop: $(BIN)/.installed $(VENV)-lerobot/bin/.installed
	PLAIT_LEROBOT_PYTHON="$(VENV)-lerobot/bin/python" \
		$(BIN)/python -m pytest tests/interop/check_interop.py

lint: $(BIN)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(BIN)/.installed
	$(BIN)/mypy

layers: $(BIN)/.installed
	$(BIN)/lint-imports

check: test lint types layers

clean:
	rm -rf $(VENV) $(VENV)-timm $(VENV)-sim $(VENV)-lerobot outputs
