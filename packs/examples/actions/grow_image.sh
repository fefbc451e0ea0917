#!/bin/sh
# Grows .home/pools/$1.qcow2 by $2 percent and prints what it is then, as JSON.
set -eu
image=$(cd "$(dirname "$0")/../../.." && pwd)/.home/pools/$1.qcow2
[ -f "$image" ] || { echo "there is no image $image" >&2; exit 1; }

size() { qemu-img info "$image" | sed -n 's/^virtual size: .*(\([0-9]*\) bytes)$/\1/p'; }

before=$(size)
step=$((before * $2 / 100))
# Whole MiB: qcow2 wants multiples of 512 bytes, people want round numbers.
wanted=$(((before + step + 1048575) / 1048576 * 1048576))
qemu-img resize -q "$image" "$wanted"
after=$(size)
[ "$after" -eq "$wanted" ] || { echo "wanted $wanted bytes, it has $after" >&2; exit 1; }
printf '{"image": "%s", "before_bytes": %s, "after_bytes": %s}\n' "$image" "$before" "$after"
