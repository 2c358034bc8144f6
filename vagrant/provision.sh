#!/bin/sh
# Makes a Debian 13 machine a node: Docker engine, Compose v2 and buildx at pinned versions, usable by the login user.
# Run by Vagrant as root, and by lab/box inside a root file system that is not running. Does nothing when all is there.
# The pins are patterns, since an exact version disappears with every Debian rebuild. Exit 0 it works, 1 it does not.
set -eu
pins='docker.io=26.1.5* docker-cli=26.1.5* docker-compose=2.26.1* docker-buildx=0.13.1*'
user=${1:-vagrant}

say() { echo "provision: $*" >&2; }
fail() { say "$*"; exit 1; }

installed() { # PACKAGE=PATTERN
  # the pattern is meant as one
  # shellcheck disable=SC2254
  case $(dpkg-query -W -f '${db:Status-Status} ${Version}' "${1%%=*}" 2>/dev/null) in "installed "${1#*=}) ;; *) return 1 ;; esac
}

install_missing() {
  missing=''
  set -f
  for pin in $pins; do installed "$pin" || missing="$missing $pin"; done
  [ -n "$missing" ] || { set +f; return 0; }
  say "installing$missing"
  export DEBIAN_FRONTEND=noninteractive
  apt-get -qq -o DPkg::Lock::Timeout=300 update
  # shellcheck disable=SC2086
  apt-get -qq -y -o Dpkg::Use-Pty=0 -o DPkg::Lock::Timeout=300 --no-install-recommends --allow-downgrades install $missing
  set +f
}

# Whoever is in this group is root on this machine: right for a machine that is nothing but a node.
allow_user() {
  id -nG "$user" | grep -qw docker || usermod -aG docker "$user"
}

start_engine() {
  [ "$(systemctl is-enabled docker 2>/dev/null)" = enabled ] || systemctl enable -q docker
  systemctl is-active -q docker || systemctl start docker || fail "the engine does not start: $(journalctl -u docker -n 5 --no-pager)"
}

prove() {
  [ "$(runuser -u "$user" -- docker compose version --short)" != '' ] || fail 'docker compose does not answer'
  seen=$(runuser -u "$user" -- docker version --format '{{.Server.Version}}') || fail "the engine does not answer to $user"
  say "engine $seen, Compose $(docker compose version --short), usable by $user"
}

[ "$(id -u)" = 0 ] || fail 'needs root'
install_missing
allow_user
if [ -d /run/systemd/system ]; then start_engine; prove; else say 'installed; this system is not running, so nothing was started'; fi
