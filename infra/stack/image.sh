# The image of the service, for infra/docker: built once per state of the sources, and named after its content.
# shellcheck shell=sh disable=SC2154,SC2016

remembered_bases() { # the stand-ins of infra/images/build, unless the environment says otherwise
  [ -f "$state/images.env" ] || return 0
  while IFS='=' read -r name value; do
    case $name in
      ORDERS_BUILD_IMAGE) : "${ORDERS_BUILD_IMAGE:=$value}" ;;
      ORDERS_RUNTIME_IMAGE) : "${ORDERS_RUNTIME_IMAGE:=$value}" ;;
      ORDERS_DB_IMAGE) : "${ORDERS_DB_IMAGE:=$value}" ;;
    esac
  done < "$state/images.env"
}

# What the image depends on; the commit too, because /version tells it.
sources() {
  (cd "$root" && cat Dockerfile .dockerignore package.json package-lock.json tsconfig.json service/tsconfig.json
    find service \( -path service/test -o -path service/bench -o -path service/dist \) -prune -o -name '*.ts' -print | LC_ALL=C sort | xargs cat
    echo "$(revision) ${ORDERS_BUILD_IMAGE:-} ${ORDERS_RUNTIME_IMAGE:-}") | cksum | tr ' ' -
}
revision() {
  sha=$(git -C "$root" rev-parse HEAD 2>/dev/null) || { echo unknown; return; }
  [ -z "$(git -C "$root" status --porcelain -- Dockerfile .dockerignore package.json package-lock.json tsconfig.json service 2>/dev/null)" ] || sha=$sha-dirty
  echo "$sha"
}
image_is_there() { docker image inspect "$1" >/dev/null 2>&1; }

# Prints the name. Without sources (a VM gets infra/ only) it is ORDERS_IMAGE, or what the node ran before.
build() {
  remembered_bases
  if [ -n "${ORDERS_IMAGE:-}" ]; then
    image_is_there "$ORDERS_IMAGE" || fail "the image $ORDERS_IMAGE is not in this engine: docker load it first"
    echo "$ORDERS_IMAGE"; return
  fi
  if [ ! -f "$root/Dockerfile" ]; then
    was_run ORDERS_IMAGE || fail 'no sources and no image: docker load it, and name it in ORDERS_IMAGE'
    return
  fi
  key=$(sources)
  name=$([ ! -f "$state/image" ] || sed -n "s/^$key //p" "$state/image" | tail -n 1)
  if [ -z "$name" ] || ! image_is_there "$name"; then build_image; fi
  echo "$name"
}

was_run() { cat "$state"/docker/*/env 2>/dev/null | sed -n "s/^$1=//p" | head -n 1 | grep .; }

build_image() {
  epoch=$(git -C "$root" log -1 --format=%ct 2>/dev/null || echo 0)
  set -- --build-arg "GIT_SHA=$(revision)" --build-arg "BUILD_TIME=$(date -u +%Y-%m-%dT%H:%M:%SZ)" --build-arg "SOURCE_DATE_EPOCH=$epoch" \
    --build-arg "VERSION=$(sed -n 's/^ *"version": "\(.*\)",$/\1/p' "$root/package.json")"
  [ -z "${ORDERS_BUILD_IMAGE:-}" ] || set -- "$@" --build-arg "BUILD_IMAGE=$ORDERS_BUILD_IMAGE"
  [ -z "${ORDERS_RUNTIME_IMAGE:-}" ] || set -- "$@" --build-arg "RUNTIME_IMAGE=$ORDERS_RUNTIME_IMAGE" --build-arg "RUNTIME_DIGEST=$(digest_of "$ORDERS_RUNTIME_IMAGE")"
  say "building the image from ${ORDERS_RUNTIME_IMAGE:-the pinned bases}"
  mkdir -p "$state"
  # an attestation would give every build another id
  BUILDX_NO_DEFAULT_ATTESTATIONS=1 docker build --iidfile "$state/image.id" "$@" "$root" >"$state/image.log" 2>&1 || {
    tail -n 20 "$state/image.log" >&2
    fail "the image could not be built; the whole story is in $state/image.log; on a machine without a registry: make images OFFLINE=1"; }
  id=$(cat "$state/image.id")
  name=orders:$(echo "$id" | tr : -)
  docker tag "$id" "$name"
  forget_unused
  echo "$key $name" >> "$state/image"
  rm -f "$state/image.id"
}

# What we built before and no container uses goes; the engine refuses to remove the others.
forget_unused() {
  [ -f "$state/image" ] || return 0
  mv "$state/image" "$state/image.before"
  while read -r old_key old; do
    if image_is_there "$old" && ! docker image rm "$old" >/dev/null 2>&1; then echo "$old_key $old"; fi
  done < "$state/image.before" > "$state/image"
  rm -f "$state/image.before"
}

# The digest in a pinned name: name@sha256:…, or the content tag name:sha256-… that stand-ins and our own image bear.
digest_of() { printf '%s\n' "$1" | sed -n 's/^.*[@:]\(sha256\)[:-]\([0-9a-f]\{64\}\)$/\1:\2/p'; }

database_image() {
  remembered_bases
  pinned=$(sed -n 's/^ *image: ${ORDERS_DB_IMAGE:-\(.*\)}$/\1/p' "$infra/docker-compose.yml")
  [ -f "$root/Dockerfile" ] || pinned=$(was_run ORDERS_DB_IMAGE || echo "$pinned")
  echo "${ORDERS_DB_IMAGE:-$pinned}"
}

images() { build; database_image; }
