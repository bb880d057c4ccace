#!/bin/sh
# Opens the web page of popbridge from the applications of macOS; install.sh writes the
# path of the program beside it. This ends at once, for macOS starts an application that
# runs no second time: `popbridge open` can go on as the agent, which then logs where a
# service would. What it says when it fails is shown.
program=$(cat "${0%/*}/../Resources/program")
log=$HOME/Library/Logs/popbridge/popbridge.log
set -m # in a process group of its own: launchd ends that of this script with it
{
  said=$(POPBRIDGE_LOG_FILE=$log "$program" open 2>&1) ||
    /usr/bin/osascript -e 'on run argv' \
      -e 'display dialog (item 1 of argv) with title "popbridge" with icon stop buttons {"OK"} default button 1' -e 'end run' "$said"
} </dev/null >/dev/null 2>&1 &
