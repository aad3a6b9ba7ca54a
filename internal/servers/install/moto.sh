# moto: stands in for AWS services, in Python; in a virtual environment of its own. Debian ships venv apart from Python.
python3 -c 'import venv, ensurepip' 2>/dev/null || apt_install python3-venv
rm -rf "$CACHE/moto"   # what an install that was cut short left: a venv can't be moved into place when it is whole
python3 -m venv "$CACHE/moto" >&2 || die "python3 -m venv did not work"
"$CACHE/moto/bin/pip" --quiet --disable-pip-version-check --no-cache-dir install 'moto[server]==5.2.5' >&2 ||
  { rm -rf "$CACHE/moto"; die "pip could not install moto"; }
