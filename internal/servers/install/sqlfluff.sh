# sqlfluff: parses Redshift's SQL, in Python; a second opinion on what we send. In a virtual environment of its own.
python3 -c 'import venv, ensurepip' 2>/dev/null || apt_install python3-venv
rm -rf "$CACHE/sqlfluff"   # what an install that was cut short left: a venv can't be moved into place when it is whole
python3 -m venv "$CACHE/sqlfluff" >&2 || die "python3 -m venv did not work"
"$CACHE/sqlfluff/bin/pip" --quiet --disable-pip-version-check --no-cache-dir install 'sqlfluff==4.5.0' >&2 ||
  { rm -rf "$CACHE/sqlfluff"; die "pip could not install sqlfluff"; }
