#!/bin/sh
# Installs popbridge from the folder that this script is in, for this user: the program
# to ~/.local/bin, or to DIR with --to DIR (with sudo: /usr/local/bin), and an application
# that opens its web page to ~/Applications (with sudo: /Applications). A service that
# runs is stopped before the program is replaced, and started again.
#
#   ./install.sh [--to DIR]
#   ./install.sh --uninstall [--to DIR]      config and mail stay
set -eu

die() { printf 'error: %s\nhint: %s\n' "$1" "$2" >&2; exit 1; }

from=$(cd "$(dirname "$0")" && pwd)
uninstall=no
label=io.github.popbridge
agent=$HOME/Library/LaunchAgents/$label.plist # sudo on macOS keeps HOME
daemon=/Library/LaunchDaemons/$label.plist
if [ "$(id -u)" = 0 ]; then
  to=/usr/local/bin apps=/Applications domain=system plist=$daemon theirs=$agent
  other=gui/${SUDO_UID:-0} whose="of ${SUDO_USER:-root}" as="without sudo: "
else
  to=$HOME/.local/bin apps=$HOME/Applications domain=gui/$(id -u) plist=$agent theirs=$daemon
  other=system whose="of the whole machine" as="sudo "
fi
while [ $# -gt 0 ]; do
  case $1 in
    --uninstall) uninstall=yes ;;
    --to) [ $# -gt 1 ] || die "--to needs a folder" "write --to DIR"; to=$2; shift ;;
    *) die "unknown option $1" "./install.sh [--uninstall] [--to DIR]" ;;
  esac
  shift
done
case $to in /*) ;; *) die "the folder is not a whole path: $to" "write it from / on" ;; esac
share=$(dirname "$to")/share
program=$to/popbridge
man=$share/man/man1
app=$apps/popbridge.app

# runs DOMAIN: whether launchd runs the service of this user, or of the system.
runs() { launchctl print "$1/$label" 2>/dev/null | grep -q '^[[:space:]]*pid = '; }

# shared: whether the service of the other kind is of this program. launchd does not
# tell of one that was stopped.
shared() { { launchctl print "$other/$label"; cat "$theirs"; } 2>/dev/null | grep -qF "$program"; }

# opens: what the application opens, nothing where it is none of popbridge.
opens() { cat "$app/Contents/Resources/program" 2>/dev/null || :; }

if [ $uninstall = yes ]; then
  [ -x "$program" ] || die "there is no $program" "name the folder that it was installed to with --to"
  if shared; then die "the service $whose needs $program" "remove the service first, $as$program uninstall"; fi
  if [ -e "$plist" ]; then "$program" uninstall; fi
  rm -f "$program" "$man"/popbridge.1 "$man"/popbridge-*.1 "$share/zsh/site-functions/_popbridge"
  also=
  if [ "$(opens)" = "$program" ]; then rm -rf "$app"; also=" and $apps"; fi
  echo "popbridge was removed from $to$also; config and mail are where they were"
  exit 0
fi

[ -f "$from/popbridge" ] || die "there is no program beside this script" "unpack the whole archive, and run install.sh in it"
mkdir -p "$to" "$man" "$share/zsh/site-functions"
new=$to/.popbridge.new
newapp=$apps/.popbridge.app.new
oldapp=$apps/.popbridge.app.old
trap 'rm -rf "$new" "$newapp" "$oldapp"' EXIT

marked=no
# copy FILE TO: copies a file, without the mark of a download.
copy() {
  cp "$1" "$2"
  if xattr -p com.apple.quarantine "$2" >/dev/null 2>&1; then
    marked=yes
    xattr -d com.apple.quarantine "$2"
  fi
}
copy "$from/popbridge" "$new"
chmod 755 "$new"
if [ -e "$app" ] && [ -z "$(opens)" ]; then
  echo "there is another popbridge.app in $apps, which stays; popbridge open opens the web page"
  app=
else
  rm -rf "$newapp" "$oldapp" # of an installation that was interrupted
  mkdir -p "$newapp/Contents/MacOS" "$newapp/Contents/Resources"
  for part in Info.plist MacOS/popbridge Resources/popbridge.icns; do
    copy "$from/app/Contents/$part" "$newapp/Contents/$part"
  done
  printf '%s\n' "$program" >"$newapp/Contents/Resources/program"
  chmod -R a+rX "$newapp"
fi
if [ $marked = yes ]; then
  echo "macOS has marked this program as downloaded and would refuse to run it, because no developer that Apple knows has signed it; the mark is removed from the copies in $to${app:+ and $apps}"
fi
"$new" version >/dev/null || die "the program does not run on this machine" "take the archive for its processor: arm64 for Apple silicon, amd64 for Intel"

cp "$from"/man/*.1 "$man/"
cp "$from/completions/_popbridge" "$share/zsh/site-functions/"
if [ -n "$app" ]; then
  if [ -e "$app" ]; then mv "$app" "$oldapp"; fi
  mv "$newapp" "$app"
fi
again=no
if [ -x "$program" ] && runs "$domain"; then
  again=yes
  "$program" stop
fi
mv -f "$new" "$program" # at once, or not at all
"$program" version | head -n 1
if [ $again = yes ]; then
  "$program" start
  exit 0
fi
if runs "$other" && shared; then
  echo "the service $whose still runs the former program; $as$program restart"
  exit 0
fi
# shellcheck disable=SC2016 # PATH is for the shell that reads .zprofile
case :$PATH: in
  *:"$to":*) ;;
  *) printf '%s is not in your PATH; add it with:\n  echo '\''export PATH="%s:$PATH"'\'' >>~/.zprofile\n' "$to" "$to" ;;
esac
echo "next: popbridge setup${app:+, or without a terminal: popbridge in $apps}"
