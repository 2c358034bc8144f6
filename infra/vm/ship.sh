# What a VM needs from here, for infra/vagrant: the files of infra/, and images, whose names say their content.
# shellcheck shell=sh disable=SC2154

# Replaces ~/infra in the VM but for its settings; prints the images that it does not have. The secrets never travel: a VM makes its own.
ship() { # NODE
  connect "$1" || return 1
  (cd "$root" && COPYFILE_DISABLE=1 tar -cf - --exclude infra/test --exclude infra/.env infra vagrant/nodes.txt) | over_ssh "$1" "set -e
    rm -rf .arriving; mkdir .arriving; tar -xf - -C .arriving
    if [ -f infra/.env ]; then mv infra/.env .arriving/infra/; fi
    rm -rf infra vagrant; mv .arriving/infra .arriving/vagrant .; rmdir .arriving
    for image in $(echo "$images" | tr '\n' ' '); do docker image inspect \$image >/dev/null 2>&1 || echo \$image; done"
}

archive_of() { echo "$state/images/$(printf %s "$1" | tr '/:' '--').tar.gz"; }
short() { printf '%s\n' "$1" | sed 's/\(sha256[:-]............\).*/\1/'; }

archive() { # IMAGE [NODE whose engine has it]: makes its archive; a node fetches an image with a registry's digest by itself
  file=$(archive_of "$1")
  case $1 in *@*) return ;; esac
  [ ! -f "$file" ] || return 0
  mkdir -p "$state/images"
  say "archiving $(short "$1")"
  if [ -n "${2:-}" ]; then over_ssh "$2" "docker save $1 | gzip -1"; else docker save "$1" | gzip -1; fi > "$file.$$"
  gzip -t "$file.$$" || fail "the image $1 could not be archived"
  mv "$file.$$" "$file"
  # of every kind of image the last one is kept
  find "$state/images" -name "$(basename "$file" | sed 's/sha256-.*/sha256-/')*" ! -name "$(basename "$file")" -delete
}

build_in_vm() { # NODE
  say "no engine on this machine: building the image on $1"
  (cd "$root" && COPYFILE_DISABLE=1 tar -cf - --exclude infra/test --exclude service/dist --exclude service/test --exclude service/bench \
    Dockerfile .dockerignore package.json package-lock.json tsconfig.json service infra vagrant/nodes.txt) |
    over_ssh "$1" 'rm -rf build && mkdir build && tar -xf - -C build' || fail "$1: the sources could not be shipped"
  images=$(over_ssh "$1" "ORDERS_STATE=\$HOME/.state build/infra/docker images") || exit 1
}
