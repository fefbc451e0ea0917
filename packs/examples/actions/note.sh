#!/bin/sh
# Parameters with a position arrive as arguments, the others in the environment: never as text in a
# line of this script, so nothing that an event says can become a command.
set -eu
home=$(cd "$(dirname "$0")/../../.." && pwd)
mkdir -p "$home/.home"
printf '%s %s\n' "$(date +%T)" "$1" >>"$home/.home/notes.log"
