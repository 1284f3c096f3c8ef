# From a fresh clone: `make train`, `make test`, `make lint`. Each sets up VENV first, once.

VENV = .venv
REQUIREMENTS = setup.py requirements-base.txt requirements.txt
CODE = resattnet scripts tests setup.py

.PHONY: help train test fuzz lint setup python clean

help:
	@echo "make train   train a thin Attention-56 on the embedded digits, on the CPU (a few minutes)"
	@echo "make test    run all the tests"
	@echo "make fuzz    try damaged files, odd command lines and faults of jobs by the thousand (about half an hour)"
	@echo "make lint    check the code's style and types with ruff and mypy"
	@echo "make setup   only install what these need, into $(VENV)"
	@echo "make python  print which Python setup takes: the newest usable of 3.8 to 3.12"
	@echo "make clean   remove $(VENV) and build leftovers; log/ and models/ stay"
	@echo "PYTHON=/path/to/python3 names another Python, VENV=folder another folder,"
	@echo "ARGS=... adds arguments to the training or to pytest (make test ARGS='-n0 -k install');"
	@echo "the tests run in as many processes as there are cores, up to four; -n0 runs them in one."

train: $(VENV)/.installed
	$(VENV)/bin/python scripts/cifar10_train.py --dataset digits --widths thin --num-layers 56 \
	    --epochs 5 --batch-size 32 --lr 0.1 --warmup-epochs 1 --log-interval 11 $(ARGS)

# One process for each core. The tests of a file share its fixtures, so they stay in one process.
test: $(VENV)/.installed
	$(VENV)/bin/python -m pytest --dist loadfile --maxprocesses 4 --numprocesses \
	    $$($(VENV)/bin/python -c "from resattnet.machine.cores import core_count; print(core_count())") $(ARGS)

# All tries of the fuzz tests and all faults of jobs, whose tables are written into docs/reliability.md and distributed.md;
# and the other tests that take minutes.
fuzz: $(VENV)/.installed
	RESATTNET_FUZZ=full $(VENV)/bin/python -m pytest -n0 --timeout 7200 tests/fuzz tests/distributed \
	    tests/commands/test_lost_streams.py tests/zoo/test_parameters.py tests/runtimes/test_torch_program.py \
	    tests/export/test_export.py tests/models/test_network.py tests/datasets/test_recordio.py $(ARGS)

lint: $(VENV)/.installed
	$(VENV)/bin/ruff check $(CODE)
	$(VENV)/bin/ruff format --check $(CODE)
	$(VENV)/bin/mypy resattnet

setup: $(VENV)/.installed

# A command with the right name is not enough: version managers leave commands that only fail, and Linux
# distributions ship Python without ensurepip. So each candidate is run.
FIND_PYTHON = \
	python=; \
	if [ -n "$$PYTHON" ]; then set -- "$$PYTHON"; \
	else set -- python3.12 python3.11 python3.10 python3.9 python3.8 python3 python; fi; \
	for candidate in "$$@"; do \
	    if "$$candidate" -c 'import sys, ctypes, ensurepip, ssl, venv; \
	version = sys.version_info[:2]; named = sys.argv[1].startswith("python3."); \
	sys.exit(not (3, 8) <= version <= (3, 12) or named and sys.argv[1] != "python%d.%d" % version)' \
	        "$$candidate" >/dev/null 2>&1; then python=$$candidate; break; fi; \
	done; \
	if [ -z "$$python" ]; then \
	    echo "No usable Python 3.8 to 3.12 (with venv)$${PYTHON:+ at $$PYTHON}: install one" \
	        "(apt-get install python3 python3-venv, dnf install python3.12, or pyenv install 3.12)" \
	        "or name it: PYTHON=/path/to/python3 make" >&2; \
	    exit 1; \
	fi

python:
	@$(FIND_PYTHON); command -v "$$python"

# The stamp is written last: an interrupted install starts again from an empty folder. A folder that make did not
# create is left alone.
$(VENV)/.installed: $(REQUIREMENTS)
	@$(FIND_PYTHON); \
	if [ -e $(VENV) ] && [ ! -e $(VENV)/.made-by-make ]; then \
	    echo "$(VENV) is not make's: remove it, or name another folder: make VENV=.venv-make" >&2; exit 1; \
	fi; \
	echo "Setting up $(VENV) with $$("$$python" --version), a few minutes"; \
	rm -rf $(VENV) && mkdir -p $(VENV) && touch $(VENV)/.made-by-make && "$$python" -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet -e '.[cpu,dev]'
	@touch $@

clean:
	@if [ -e $(VENV)/.made-by-make ]; then rm -rf $(VENV); fi
	rm -rf build dist resattnet.egg-info .pytest_cache
