PYTHON ?= python3
PREHEAT = .venv/bin/preheat
PAGE ?= results/regimes/report.html

SIDE_BY_SIDE = -n 2 --dist worksteal

.PHONY: help setup demo test test-fast test-all check bench pictures reproduced clean

help:
	@echo "make demo       set up, then train and report the study on warmup and data size (a few minutes)"
	@echo "make test       set up, then run the tests on two cores; of many alike cases each kind once"
	@echo "make test-all   all cases, and the long forms of the simulations (8 minutes on two cores)"
	@echo "make test-fast  those that take less than a minute each"
	@echo "make check      lint, formatting and types"
	@echo "make bench      fleets, schedules and curvature against what one would use instead, and the image study's steps"
	@echo "make reproduced docs/reproduced.md, written again; FROM=results/regimes trims that report for it first"
	@echo "make pictures   the documentation's pictures, drawn again, and docs/studies.md; the README's, of PAGE"

setup:
	@$(PYTHON) tools/setup_venv.py

demo: setup
	@$(PREHEAT) study regimes

test:
	@$(PYTHON) tools/setup_venv.py dev
	@.venv/bin/python -m pytest $(SIDE_BY_SIDE)

test-fast:
	@$(PYTHON) tools/setup_venv.py dev
	@.venv/bin/python -m pytest $(SIDE_BY_SIDE) -m "not slow"

test-all:
	@$(PYTHON) tools/setup_venv.py dev
	@PREHEAT_ALL_CASES=1 .venv/bin/python -m pytest $(SIDE_BY_SIDE)

check:
	@$(PYTHON) tools/setup_venv.py dev
	.venv/bin/ruff check src tests benchmarks tools examples
	.venv/bin/ruff format --check src tests benchmarks tools examples
	.venv/bin/mypy

bench:
	@$(PYTHON) tools/setup_venv.py bench
	.venv/bin/python benchmarks/fleet.py
	.venv/bin/python benchmarks/schedules.py
	.venv/bin/python benchmarks/curvature.py
	.venv/bin/python benchmarks/regimes_gpu.py

pictures:
	@$(PYTHON) tools/setup_venv.py dev
	.venv/bin/python tools/draw_docs.py
	.venv/bin/python tools/write_docs.py
	$(if $(wildcard $(PAGE)),.venv/bin/python tools/draw_page.py "$(PAGE)")

reproduced:
	@$(PYTHON) tools/setup_venv.py dev
	.venv/bin/python tools/write_reproduced.py $(if $(FROM),--from "$(FROM)") $(if $(COMMAND),--command "$(COMMAND)")

clean:
	rm -rf .venv build dist src/*.egg-info
