# shellcheck shell=bash
# environment.sh: the virtual environment of this checkout, sourced by scripts/quickstart and scripts/test.
#
# Gives `root` (the checkout), `venv` (LLMOPS_VENV, else .venv in the checkout) and `prepare_environment run|test`, which
# installs exactly what requirements/ locks, checked by sha256, and the checkout itself; nothing when that is already there.
# PYTHON names the interpreter to use; otherwise the newest-enough one on the PATH is taken.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
venv=${LLMOPS_VENV:-$root/.venv}
case $venv in /*) ;; *) venv=$PWD/$venv ;; esac

say() { printf '%s\n' "$*" >&2; }

# stop CODE MESSAGE [HINT…]: exit codes are those of llmops: 4 is the outside world.
stop() {
  local code=$1 message=$2
  shift 2
  say "error: $message"
  local hint
  for hint in "$@"; do say "hint: $hint"; done
  exit "$code"
}

# The name and version of this system: `debian 12`; `unknown 0` where there is no os-release.
system() {
  local id version
  id=$(. /etc/os-release 2>/dev/null && printf '%s' "${ID:-unknown}") || id=unknown
  version=$(. /etc/os-release 2>/dev/null && printf '%s' "${VERSION_ID:-0}") || version=0
  printf '%s %s' "${id:-unknown}" "${version:-0}"
}

as_root() { if [ "$(id -u)" = 0 ]; then printf '%s' "$*"; else printf '%s (as root)' "$*"; fi; }

is_new_enough() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; }
makes_environments() { "$1" -c 'import venv, ensurepip' >/dev/null 2>&1; }

# What to type for a Python that is new enough (only the Debian 12 line was ever run; the others are from package lists).
python_advice() {
  case $(system) in
  "debian 12" | "debian 13" | "debian 14" | "ubuntu 24."* | "ubuntu 25."* | "ubuntu 26."*) as_root apt-get install python3 python3-venv ;;
  "ubuntu 22.04") as_root apt-get install python3.11 python3.11-venv ;;
  "fedora "*) as_root dnf install python3 ;;
  *) printf 'this system has no Python 3.11 that we know of: install one (pyenv, uv, a newer release of the system)' ;;
  esac
}

# The package that brings ensurepip for interpreter $1: Debian and Ubuntu split it off.
venv_package() {
  case $(basename "$1") in python3) printf 'python3-venv' ;; *) printf 'python%s-venv' "$(python_version "$1")" ;; esac
}

# Prints the interpreter to use. Every candidate is tried, because the first on the PATH may be too old or incomplete.
find_python() {
  local candidate path candidates incomplete="" old=""
  candidates=(python3 python3.14 python3.13 python3.12 python3.11 /usr/bin/python3)
  if [ -n "${PYTHON:-}" ]; then
    command -v "$PYTHON" >/dev/null || stop 4 "PYTHON is \`$PYTHON\`, and there is no such program"
    candidates=("$PYTHON")
  fi
  for candidate in "${candidates[@]}"; do
    path=$(command -v "$candidate") || continue
    if ! is_new_enough "$path"; then
      old=${old:-$path}
    elif ! makes_environments "$path"; then
      incomplete=${incomplete:-$path}
    else
      printf '%s' "$path"
      return
    fi
  done
  if [ -n "$incomplete" ]; then
    case $(system) in
    debian* | ubuntu*)
      stop 4 "\`$incomplete\` cannot make virtual environments: the module ensurepip is missing" \
        "$(as_root apt-get install "$(venv_package "$incomplete")")"
      ;;
    *) stop 4 "\`$incomplete\` cannot make virtual environments: the module venv or ensurepip is missing" ;;
    esac
  fi
  [ -z "$old" ] || stop 4 "Python 3.11 or newer is needed; \`$old\` is $(python_version "$old")" "$(python_advice)"
  stop 4 "no python3 here; Python 3.11 or newer is needed" "$(python_advice)"
}

python_version() { "$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null || printf 'broken'; }

# What the environment must have been made from: lock, project file, place.
stamp() {
  (
    cd "$root" || exit
    printf '%s\n' "$root"
    sha256sum "requirements/$1.txt" requirements/build.txt pyproject.toml
  ) | sha256sum | cut -c1-64
}

is_prepared() {
  [ -x "$venv/bin/python" ] && "$venv/bin/python" -c '' 2>/dev/null &&
    [ -f "$venv/prepared-$1" ] && [ "$(cat "$venv/prepared-$1")" = "$(stamp "$1")" ]
}

# A package that fails to install says why in `$venv/install.log`; a person gets its last lines.
install() {
  "$venv/bin/python" -m pip install --quiet --no-input --disable-pip-version-check "$@" >>"$venv/install.log" 2>&1 && return
  grep -v '^WARNING: Retrying' "$venv/install.log" | tail -n 15 | sed 's/^/  | /' >&2
  stop 4 "the locked packages could not be installed" "is the package index reachable from here? The whole log: $venv/install.log"
}

# prepare_environment run|test
prepare_environment() {
  local kind=$1 python
  is_prepared "$kind" && return
  if ! { mkdir -p "$(dirname "$venv")" && : >>"$venv.lock"; } 2>/dev/null; then
    stop 4 "no permission to make $venv" "LLMOPS_VENV=DIRECTORY names another place for the virtual environment"
  fi
  # pip would answer Ctrl-C with an exit code of its own, which reads like a failed download.
  trap 'say "error: interrupted"; say "hint: run it again: it goes on where it stopped"; exit 130' INT
  # Two runs at once: the second waits, and then finds everything done.
  exec 9>>"$venv.lock"
  flock 9
  if ! is_prepared "$kind"; then
    case $(system) in "debian 12") ;; *) say "note: tested on Debian 12 only; this is $(system)" ;; esac
    if ! { [ -x "$venv/bin/python" ] && is_new_enough "$venv/bin/python" && "$venv/bin/python" -m pip --version >/dev/null 2>&1; }; then
      python=$(find_python)
      [ ! -e "$venv" ] || [ -f "$venv/pyvenv.cfg" ] || [ -z "$(ls -A "$venv")" ] ||
        stop 4 "$venv exists and is not a virtual environment" "move it away"
      say "making a virtual environment with $python in $venv …"
      rm -f "$venv"/prepared-*
      "$python" -m venv --clear "$venv" >&2 || stop 4 "\`$python -m venv\` failed"
    fi
    rm -f "$venv"/prepared-* "$venv/install.log"
    say "installing $(grep -c '==' "$root/requirements/$kind.txt") locked packages …"
    install --require-hashes --only-binary :all: -r "$root/requirements/build.txt" -r "$root/requirements/$kind.txt"
    install --no-deps --no-build-isolation --no-index -e "$root"
    [ "$kind" = run ] || stamp run >"$venv/prepared-run"
    stamp "$kind" >"$venv/prepared-$kind"
  fi
  exec 9>&-
  trap - INT
}
