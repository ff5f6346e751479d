#!/usr/bin/env bash
# Gradescope runs this once, as root, when it builds the image: Python 3.11 or newer, libseccomp, the pinned packages.
set -euo pipefail
root="${AUTOGRADER_ROOT:-/autograder}"
cd "$root/source"
export DEBIAN_FRONTEND=noninteractive

apt-get update
apt-get install -y --no-install-recommends ca-certificates libseccomp2
if python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
    python=python3
    apt-get install -y --no-install-recommends python3-venv
else
    python=python3.11 # Ubuntu 22.04 has it next to its own 3.10
    apt-get install -y --no-install-recommends python3.11 python3.11-venv
fi

"$python" -m venv "$root/venv"
# The CPU build first: what PyPI has for Linux brings several GB of GPU libraries.
"$root/venv/bin/python" -m pip install --no-cache-dir --index-url https://download.pytorch.org/whl/cpu \
    "$(grep '^torch==' requirements.txt)"
"$root/venv/bin/python" -m pip install --no-cache-dir -r requirements.txt

# An additional barrier for machines where student code cannot be kept out of other folders: it runs as another user.
chmod -R go-rwx kit/solutions
