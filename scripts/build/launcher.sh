#!/bin/sh
# virtxd, in the form that needs no other runtime on the host: behind this script lie the Deno runtime and the program.
# They are unpacked once, into a directory that only this user can write, and run from there ever after.
#
# On the host: a POSIX sh with "test -O" (dash, bash, busybox), coreutils, gzip, tar, and flock of util-linux.
# The program finds in its environment: VIRTX_ARGV0, the name it was called by; VIRTX_HOME, the HOME of the caller
# (its own HOME is the cache, lest the runtime trip over a ~/.npmrc that it cannot read).
set -u
# Where standard output is closed the runtime would write to nowhere, and not notice: the program is told.
{ true 3>&1; } 2>/dev/null || export VIRTX_STDOUT=closed
caller_path=$PATH
PATH=/usr/bin:/bin:$PATH

id=@ID@                      # the first 16 digits of the payload's SHA-256
payload_sha256=@SHA256@
payload_at=@PAYLOAD_AT@      # where it begins in this file, from 1: first the runtime (gzip), then the program (tar, gzip)
runtime_packed=@RUNTIME_PACKED@
runtime_bytes=@RUNTIME_BYTES@
program_files="@PROGRAM_FILES@"
program_sizes="@PROGRAM_SIZES@" # in the same order
newline='
'
why=

# Whether $base is fit to run code from: a directory, no link, of this user, and writable for nobody else.
is_private() {
  [ -d "$base" ] && [ ! -L "$base" ] && [ -O "$base" ] &&
    case $(stat -c %a "$base" 2>/dev/null) in *7[0145][0145]) ;; *) false ;; esac
}

# Whether the runtime and each file of the program lie in $dir, whole and as they were unpacked: what cleans directories of old
# files may take some and leave others. One process, as every start needs it.
is_unpacked() {
  set -- "$base" "$dir/deno"
  for file in $program_files; do set -- "$@" "$dir/$file"; done
  expected="${newline}500 $runtime_bytes"
  for size in $program_sizes; do expected="$expected${newline}400 $size"; done
  case $(stat -c '%a %s' "$@" 2>/dev/null) in
    *7[0145][0145]" "*"$expected") ;;
    *) false ;;
  esac
}

# Keeps a lock on the runtime, as long as the program runs, from the cleaning in unpack(). Fails if that came first.
hold() {
  command exec 9<"$dir/deno" && flock --shared 9 && is_unpacked
} 2>/dev/null

# Unpacks into $dir: under a lock, aside, and then by one rename, so that nobody ever finds half of it.
unpack() {
  umask 077
  exec 8>"$base/lock" && flock 8 || return
  is_unpacked && return
  rm -rf "$base"/new.* "$dir"
  new=$base/new.$$
  mkdir "$new" && : >"$new/deno" && chmod 700 "$new/deno" || return
  if ! [ -x "$new/deno" ]; then
    echo "programs cannot be run from there (mounted noexec?)" >&2
    return 1
  fi
  sum=$(tail -c "+$payload_at" "$0" | sha256sum) || return
  if [ "${sum%% *}" != "$payload_sha256" ]; then
    echo "this file is damaged or cut off: copy it again" >&2
    return 1
  fi
  tail -c "+$payload_at" "$0" | head -c "$runtime_packed" | gzip -dc >"$new/deno" || return
  tail -c "+$((payload_at + runtime_packed))" "$0" | tar -xzf - -C "$new" || return
  chmod 400 "$new"/*.js && chmod 500 "$new/deno" || return
  sync "$new"/* && mv "$new" "$dir" || return
  warm_up || return
  # Older versions go, but for those that still run: flock fails on what hold() has locked.
  for old in "$base"/*/deno; do
    [ "$old" = "$dir/deno" ] || flock --exclusive --nonblock "$old" rm -rf "${old%/deno}"
  done
}

# Parses the program once, so that the daemon need not: it would keep the 25 MB that this takes. Under unpack()'s lock.
warm_up() {
  runtime_environment
  "$dir/deno" run @FLAGS@ "$dir/warm.js" 8>&- 9>&- </dev/null && : >"$dir/warm"
}

# Does so now where unpack() was ended before it came to it, unless another start is about to.
make_warm() {
  [ -e "$dir/warm" ] || (umask 077 && exec 8>"$base/lock" && flock --nonblock 8 && warm_up) >/dev/null 2>&1 || true
}

# What the runtime would obey before the program is asked, and nobody means who sets it for other programs. A small stack, too,
# would end it without a word.
runtime_environment() {
  unset DENO_AUDIT_PERMISSIONS DENO_CERT DENO_COMPAT DENO_CONDITIONS DENO_COVERAGE_DIR DENO_LOG DENO_NO_PACKAGE_JSON \
    DENO_TLS_CA_STORE DENO_TRACE_PERMISSIONS DENO_UNSTABLE_CONTROL_SOCK DENO_USE DENO_V8_FLAGS \
    NODE_EXTRA_CA_CERTS NODE_OPTIONS NODE_TLS_REJECT_UNAUTHORIZED NODE_V8_COVERAGE OTEL_DENO RUST_BACKTRACE RUST_LOG
  ulimit -S -s 8192 2>/dev/null || ulimit -s 8192 2>/dev/null || true
  export VIRTX_HOME="${HOME-}" HOME="$dir" DENO_DIR="$dir/cache" DENO_NO_UPDATE_CHECK=1 MALLOC_ARENA_MAX=2
}

start() {
  make_warm
  runtime_environment
  export VIRTX_ARGV0="$0" PATH="$caller_path"
  exec "$dir/deno" run @FLAGS@ "$dir/main.js" "$@"
}

# Runs the program from below the directory $1, or returns with the reason added to $why.
run_from() {
  base=$1
  shift
  dir=$base/$id
  if [ -O "$base" ] && [ ! -L "$base" ] && hold; then start "$@"; fi
  mkdir -m 700 "$base" 2>/dev/null
  if ! is_private; then
    why="$why$newline  $base: cannot be made, or is not a directory that this user alone can write"
    return
  fi
  if reason=$(unpack 2>&1) && hold; then start "$@"; fi
  rm -rf "$base/new.$$"
  why="$why$newline  $base: ${reason:-not unpacked as expected}"
}

# The parent directory has to be this user's too, or sticky: nobody else may be able to put another in place.
[ -O /var/cache ] && run_from /var/cache/virtxd "$@"
[ -O "${XDG_CACHE_HOME:-}" ] && run_from "$XDG_CACHE_HOME/virtxd" "$@"
if [ -O "${HOME:-}" ]; then
  [ -d "$HOME/.cache" ] || mkdir -m 700 "$HOME/.cache" 2>/dev/null
  [ -O "$HOME/.cache" ] && run_from "$HOME/.cache/virtxd" "$@"
fi
[ -O /run ] && run_from /run/virtxd-cache "$@"
[ -O "${XDG_RUNTIME_DIR:-}" ] && run_from "$XDG_RUNTIME_DIR/virtxd-cache" "$@"
[ -k "${TMPDIR:-/tmp}" ] && run_from "${TMPDIR:-/tmp}/virtxd-$(id -u)" "$@"
echo "virtxd: there is no place to unpack the runtime to:$why" >&2
exit 73
