# From a fresh clone: `make train`, `make test`. Both set up VENV first, once.

VENV = .venv
REQUIREMENTS = setup.py requirements-base.txt requirements.txt

.PHONY: help train test setup python clean

help:
	@echo "make train   train a thin Attention-56 on the embedded digits, on the CPU (some minutes)"
	@echo "make test    run all the tests"
	@echo "make setup   only install what these two need, into $(VENV)"
	@echo "make python  say which Python that takes: the newest usable of 3.8 to 3.12"
	@echo "make clean   remove $(VENV) and build leftovers; log/ and models/ stay"
	@echo "PYTHON=/path/to/python3 names another Python, VENV=folder another folder,"
	@echo "ARGS=... adds arguments to the training or to pytest (make test ARGS='-n0 -k install');"
	@echo "the tests run in as many processes as there are cores, up to four; -n0 runs them in one."

train: $(VENV)/.installed
	$(VENV)/bin/python scripts/cifar10_train.py --dataset digits --widths thin --num-layers 56 \
	    --epochs 5 --batch-size 32 --lr 0.1 --warmup-epochs 1 --log-interval 11 $(ARGS)

# A process for each core; a file's tests stay in one, since they share what its fixtures have trained.
test: $(VENV)/.installed
	$(VENV)/bin/python -m pytest --dist loadfile --maxprocesses 4 --numprocesses \
	    $$($(VENV)/bin/python -c "from resattnet.cores import core_count; print(core_count())") $(ARGS)

setup: $(VENV)/.installed

# A command of that name is not enough: version managers leave some that only fail, and Linux
# distributions ship Python without ensurepip. So each is asked.
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

# The stamp is written last: an install that was interrupted starts again from an empty folder.
# A folder that make did not make is left alone.
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
