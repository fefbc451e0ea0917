#!/bin/sh
# A script begins in a folder of its own, which is gone when it ends: it finds the home by its path.
home=$(cd "$(dirname "$0")/../../.." && pwd)
test -e "$home/.home/room" && echo "there is room" && exit
echo "there is no room: make the file $home/.home/room, and resume" >&2
exit 1
