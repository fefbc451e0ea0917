#!/bin/sh
# A parameter with a position arrives as an argument, others as `--name=value`; a command line finds
# them as $P_name. They are never text in a line of shell, so nothing that an event says can become
# a command.
set -eu
home=$(cd "$(dirname "$0")/../../.." && pwd)
mkdir -p "$home/.home"
printf '%s %s\n' "$(date +%T)" "$1" >>"$home/.home/notes.log"
