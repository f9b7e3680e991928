# How the scripts here say what they lack; to be sourced by them.
# shellcheck shell=bash

missing=0

# lacks WHAT REMEDY: the script goes on, to find what else is missing.
lacks() {
    echo "missing: $1; $2" >&2
    missing=1
}

has() { command -v "$1" >/dev/null 2>&1; }
