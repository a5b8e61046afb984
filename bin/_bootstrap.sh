# Shared by bin/demo and bin/test: finds Python, keeps .venv in step with the requirements.
# Sets $PYTHON_BIN to the virtual environment's interpreter.

fail() {
  printf '\n✗ %s\n' "$1" >&2
  exit 1
}

find_python() {
  for candidate in ${PYTHON:-} python3.13 python3.12 python3.11 python3 python; do
    if command -v "$candidate" >/dev/null 2>&1 &&
      "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
      command -v "$candidate"
      return
    fi
  done
}

pip_setting() { # pip_setting <name> <separator>: what pip's configuration says, each once
  "$PYTHON_BIN" -m pip config list 2>/dev/null | sed -n "s/^[^=]*\.$1='\(.*\)'\$/\1/p" |
    sed 's/\\n/ /g' | tr ' ' '\n' | awk 'NF && !seen[$0]++' | paste -s -d "$2" -
}

# uv takes a third of pip's time. It does not read pip's configuration: where packages come from is
# handed on. Where it has no wheel, or does not manage, pip does.
install() { # install <arguments>
  "$PYTHON_BIN" -m pip install --disable-pip-version-check --quiet uv==0.13.9 2>.venv/pip.log &&
    (
      index=$(pip_setting index-url ' ') extra=$(pip_setting extra-index-url ' ')
      links=$(pip_setting find-links ,) limits=$(pip_setting constraint ' ')
      [ -z "$index" ] || export UV_DEFAULT_INDEX="${index%% *}"
      [ -z "$extra" ] || export UV_INDEX="$extra"
      [ -z "$links" ] || export UV_FIND_LINKS="$links"
      [ -z "$limits" ] || export UV_CONSTRAINT="$limits"
      "$PYTHON_BIN" -m uv pip install --python "$PYTHON_BIN" --quiet --compile-bytecode \
        --index-strategy unsafe-best-match "$@"
    ) 2>.venv/uv.log ||
    "$PYTHON_BIN" -m pip install --disable-pip-version-check --quiet "$@" 2>.venv/pip.log
}

bootstrap() { # bootstrap <requirements file>
  case "$(uname -s)" in
    Linux | Darwin) ;;
    *) fail "This platform ($(uname -s)) is not supported: use Linux, macOS or WSL." ;;
  esac
  requirements=$1
  PYTHON_BIN=.venv/bin/python
  if ! "$PYTHON_BIN" -c '' 2>/dev/null; then
    python=$(find_python)
    [ -n "$python" ] || fail "Python 3.11 or newer is needed. Install it, or set PYTHON to its path."
    echo "· Making the virtual environment in .venv"
    rm -rf .venv
    "$python" -m venv .venv || fail "Could not make a virtual environment (on Debian: apt-get install python3-venv; or the disk is full)."
  fi
  wanted=$(cat requirements.txt requirements/*.txt | cksum | tr ' ' '-')-$(basename "$requirements")
  stamp=.venv/.installed-$(basename "$requirements")
  if [ "$(cat "$stamp" 2>/dev/null)" != "$wanted" ]; then
    free=$(df -Pk . | awk 'NR == 2 {print int($4 / 1024)}')
    [ "$free" -ge 2500 ] || fail "Only $free MB of disk are free here; about 2,500 MB are needed for the packages."
    echo "· Installing pinned packages (about 1.5 GB the first time; a minute or more)"
    install -r "$requirements" || {
      grep -v 'is ignored: it is neither' .venv/pip.log | tail -n 5 >&2
      fail "The packages could not be installed: see .venv/pip.log. No network, no disk, or no wheel for this platform."
    }
    # Its declared dependency is a GPU engine of several GB, which its HTTP half does not need.
    install --no-deps -r requirements/clients.txt ||
      fail "The official Moondream client could not be installed: see .venv/pip.log."
    echo "$wanted" >"$stamp"
  fi
}
