#!/bin/sh
# A store in a folder, $ROOT: the smallest program that store.command can use.
set -eu
cd "$ROOT"
case "$1" in
  put)
    case "$2" in */*) mkdir -p -- "${2%/*}" ;; esac
    cat >"$2"
    ;;
  get) cat -- "$2" ;;
  list) find . -ignore_readdir_race -type f -printf '%s\t%T@\t%P\n' ;;
  delete)
    rm -- "$2"
    case "$2" in */*) rmdir -p -- "${2%/*}" 2>/dev/null || true ;; esac
    ;;
  move) mv -f -- "$2" "$3" ;;
  fail)
    echo "out of tape, and the password is $PASSWORD" >&2
    exit 7
    ;;
  idle) sleep 600 ;;
esac
