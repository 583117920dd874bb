#!/bin/sh
# A tensor as a file of float32:
#
#     sh tensor.sh

set -eu
service=${WEIGHT_INIT_URL:-http://localhost:8080}
folder=$(mktemp -d)
trap 'rm -r "$folder"' EXIT

if ! curl -sS --fail-with-body --get "$service/init" \
    -d method=kaiming_normal -d shape=64,3,7,7 -d seed=42 -d mode=fan_out -d nonlinearity=relu -d format=raw \
    ${WEIGHT_INIT_TOKEN:+-H "Authorization: Bearer $WEIGHT_INIT_TOKEN"} \
    --dump-header "$folder/head" --output "$folder/weight"
then
    if [ -f "$folder/weight" ]; then cat "$folder/weight" >&2; fi
    exit 1
fi

tr -d '\r' < "$folder/head" | awk -F ': ' '
    tolower($1) == "x-tensor-shape" { shape = $2 }
    tolower($1) == "x-tensor-dtype" { dtype = $2 }
    END { print shape, dtype }'
od -A n -N 16 -t f4 "$folder/weight" | awk '{ printf "%.6f %.6f %.6f %.6f\n", $1, $2, $3, $4 }'
sha256sum < "$folder/weight" | cut -d ' ' -f 1
