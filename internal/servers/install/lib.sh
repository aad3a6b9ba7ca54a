# Shared by the install scripts: prepended to each before it runs under /bin/sh -eu.
# $CACHE is the cache folder. The last line on stderr is the reason a user sees, in one line by die(); the command that
# brings the component is added to it in Go.

say() { printf '%s\n' "$*" >&2; }
die() { say "$*"; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }

# rooted runs a command as root, or fails when there is neither root nor a password-free sudo.
rooted() {
  if [ "$(id -u)" = 0 ]; then "$@"; return; fi
  have sudo && sudo -n true 2>/dev/null || die "needs root, and sudo asks for a password"
  sudo -n "$@"
}

# apt_install brings Debian packages; the index is read again only if it has to be.
apt_install() {
  have apt-get || die "no apt-get on this machine; install the packages $* by its own package manager"
  rooted true
  if ! rooted env DEBIAN_FRONTEND=noninteractive apt-get -qq -y \
       -o DPkg::Lock::Timeout=600 install --no-install-recommends "$@" >&2; then
    rooted apt-get -qq -o DPkg::Lock::Timeout=600 update >&2 || die "apt-get update did not work"
    rooted env DEBIAN_FRONTEND=noninteractive apt-get -qq -y \
       -o DPkg::Lock::Timeout=600 install --no-install-recommends "$@" >&2 || die "apt-get could not install $*"
  fi
}

# system_user makes the account a server drops to when we are root; nothing to do otherwise.
system_user() {
  [ "$(id -u)" = 0 ] || return 0
  id "$1" >/dev/null 2>&1 || useradd --system --no-create-home --shell /usr/sbin/nologin "$1"
}
