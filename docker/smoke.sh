#!/usr/bin/env bash
# Sees that a deployment certifies: docker/smoke.sh [BASE_URL [PROVIDER…]]
#
# Without providers: local and, where COMPOSE_PROFILES names demo, the four that are emulated.
# Needs python3 and nothing else.
set -euo pipefail
here=$(dirname "$(realpath "${BASH_SOURCE[0]}")")
base=${1:-http://127.0.0.1:${SURETY_PORT:-8000}}
if [ $# -gt 1 ]; then
  providers=("${@:2}")
elif [[ ,${COMPOSE_PROFILES:-}, == *,demo,* ]]; then
  providers=(local aws azure google clarifai)
else
  providers=(local)
  echo "COMPOSE_PROFILES does not name demo: no emulator is asked"
fi
exec python3 -I "$here/smoke.py" "$base" "${providers[@]}"
