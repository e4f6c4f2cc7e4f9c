#!/bin/sh
# Installs a packed cellsam-train with its libtorch: install.sh PACKAGE.tgz VARIANT, where VARIANT is one of `cellsam setup --variant`.
# What Dockerfile and cellsam.def run. npm_config_prefix and CELLSAM_CACHE say where, CELLSAM_FROM another source of libtorch.
set -eu
npm install --global --omit=dev --ignore-scripts --no-audit --no-fund "$1"
cellsam setup --variant "$2" ${CELLSAM_FROM:+--from "$CELLSAM_FROM"}
# Fails where something is missing; on a machine without GPU it trains a few steps on the CPU.
cellsam doctor
