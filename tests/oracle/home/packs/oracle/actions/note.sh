#!/bin/sh
# One write to a file opened for appending: lines of several processes do not mix.
printf '%s %s %s\n' "$IFSO_EXECUTION_ID" "$IFSO_ATTEMPT" "$1" >>"$(dirname "$0")/../../../effects"
